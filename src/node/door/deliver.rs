//! Answers and events to JavaScript: many in one call, bounded, so that the event loop breathes between.
//!
//! The shared array of integers says what the arguments are: first the number of records, three unused, then four
//! integers a record: slot and kind (the highest byte), and three lanes.

use std::{
    ffi::c_void,
    ptr,
    time::{Duration, Instant},
};

use napi::sys;

use super::{
    completions::{Kind, Load, Stored},
    env_door::{EnvDoor, guarded},
    submit::door_of,
    transcode::Placed,
};

const STRIDE: usize = 4;

/// Most values of one call; one record more may pass it by its own length.
const MOST_VALUES: usize = 4096;

/// How long one round makes values.
const LONGEST_ROUND: Duration = Duration::from_millis(1);

/// The load being handed over, and how far.
#[derive(Default)]
pub(super) struct Round {
    load: Load,
    record: usize,
    value: usize,
    arguments: Vec<sys::napi_value>,
}

/// Wakes of the threadsafe function end here.
///
/// # Safety
///
/// Called by Node, with an [`EnvDoor`] as context as long as `env` is not null.
pub(super) unsafe extern "C" fn ring(
    env: sys::napi_env,
    _callback: sys::napi_value,
    context: *mut c_void,
    _data: *mut c_void,
) {
    // A null environment is one that is being torn down.
    if env.is_null() {
        return;
    }
    // SAFETY: by the contract above.
    if let Some(door) = unsafe { context.cast::<EnvDoor>().as_ref() } {
        deliver(door, Turn::OfNode);
    }
}

/// The raw callback `drain`, which JavaScript calls when it was asked to resume.
///
/// # Safety
///
/// Called by Node, with an [`EnvDoor`] that outlives the function as its data.
pub(super) unsafe extern "C" fn drain(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: by the contract above.
    if let Some(door) = unsafe { door_of(env, info) } {
        deliver(door, Turn::OfNode);
    }
    ptr::null_mut()
}

/// Who runs what JavaScript does next: reactions of promises, `process.nextTick`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Node, after the callback that it made.
    OfNode,
    /// Nobody but us: the callback is one of libuv.
    #[cfg(unix)]
    OfOurs,
}

pub(super) fn deliver(door: &EnvDoor, turn: Turn) {
    let outcome = guarded(|| {
        let mut round = door.round.take();
        let records = fill(door, &mut round);
        if records > 0 {
            // SAFETY: the array is longer than one integer; the arguments are of the scope that Node opened for us.
            unsafe {
                *door.records.start = i32::try_from(records).unwrap_or(0);
                match turn {
                    Turn::OfNode => door.call(door.callbacks.deliver, &round.arguments),
                    #[cfg(unix)]
                    Turn::OfOurs => door.call_as_turn(door.callbacks.deliver, &round.arguments),
                };
            }
        }
        let unfinished = round.record < round.load.records.len();
        *door.round.borrow_mut() = round;
        // Through `setImmediate`: Node calls a threadsafe function up to a thousand times before it turns the loop.
        if unfinished || door.completions.more() {
            // SAFETY: as above.
            unsafe { door.call(door.callbacks.resume, &[]) };
        }
    });
    if let Err(error) = outcome {
        // Promises of this round are lost; a process that goes on would wait for them for ever.
        let thrown = door.js_error(&error);
        napi::JsError::from(thrown).throw_into_fatal(door.env);
    }
}

trait Fatal {
    fn throw_into_fatal(self, env: sys::napi_env);
}

impl Fatal for napi::JsError {
    fn throw_into_fatal(self, env: sys::napi_env) {
        // SAFETY: on the thread of `env`, in the scope of the callback.
        unsafe {
            let value = self.into_value(env);
            sys::napi_fatal_exception(env, value);
        }
    }
}

/// Makes the arguments of the next call and writes its records; returns their number.
fn fill(door: &EnvDoor, round: &mut Round) -> usize {
    if round.record == round.load.records.len() {
        round.load.reset();
        (round.record, round.value) = (0, 0);
        door.completions.take(&mut round.load);
    }
    round.arguments.clear();
    let most_records = door.records.length / STRIDE - 1;
    let mut started: Option<Instant> = None;
    let mut records = 0;
    while let Some(record) = round.load.records.get(round.record) {
        if records == most_records || round.arguments.len() >= MOST_VALUES {
            break;
        }
        // A large value counts at once, small ones in dozens: reading the clock costs as much as a short string.
        if (records % 32 == 31 || round.load.narrow.len() > 1 << 16)
            && started.get_or_insert_with(Instant::now).elapsed() > LONGEST_ROUND
        {
            break;
        }
        records += 1;
        // SAFETY: within the shared array, by the bound above.
        unsafe {
            let place = door.records.start.add(records * STRIDE);
            *place = (record.slot | (u32::from(record.kind as u8) << 24)).cast_signed();
            place.add(1).copy_from_nonoverlapping(record.lanes.as_ptr(), 3);
        }
        for stored in &round.load.values[round.value..round.value + record.values as usize] {
            // SAFETY: on the thread of the environment, in the scope that Node opened for us.
            round.arguments.push(unsafe { make(door, &round.load, stored) });
        }
        round.value += record.values as usize;
        round.record += 1;
    }
    records
}

/// # Safety
///
/// On the thread of the environment, in an open handle scope.
unsafe fn make(door: &EnvDoor, load: &Load, stored: &Stored) -> sys::napi_value {
    let env = door.env;
    let mut value = ptr::null_mut();
    // SAFETY: by the contract above; the places lie within the arenas of the load that they are of.
    unsafe {
        match stored {
            Stored::Undefined => sys::napi_get_undefined(env, &raw mut value),
            Stored::Null => sys::napi_get_null(env, &raw mut value),
            Stored::Bool(flag) => sys::napi_get_boolean(env, *flag, &raw mut value),
            Stored::Number(number) => sys::napi_create_double(env, *number, &raw mut value),
            Stored::Text(placed) => text(env, load, *placed, &raw mut value),
            Stored::Bytes { at, length } => {
                let bytes = &load.narrow[*at..*at + *length];
                sys::napi_create_buffer_copy(env, *length, bytes.as_ptr().cast(), ptr::null_mut(), &raw mut value)
            }
            Stored::Error(placed) => {
                let mut told = ptr::null_mut();
                text(env, load, *placed, &raw mut told);
                value = door.call(door.callbacks.make_error, &[told]).unwrap_or(ptr::null_mut());
                sys::Status::napi_ok
            }
            Stored::List(items) => {
                sys::napi_create_array_with_length(env, items.len(), &raw mut value);
                for (index, item) in items.iter().enumerate() {
                    let mut scope = ptr::null_mut();
                    sys::napi_open_handle_scope(env, &raw mut scope);
                    let item = make(door, load, item);
                    sys::napi_set_element(env, value, u32::try_from(index).unwrap_or(u32::MAX), item);
                    sys::napi_close_handle_scope(env, scope);
                }
                sys::Status::napi_ok
            }
        };
        if value.is_null() {
            // Out of memory for a value: V8 aborts the process before this in practice.
            sys::napi_get_undefined(env, &raw mut value);
        }
    }
    value
}

/// # Safety
///
/// As [`make`].
unsafe fn text(env: sys::napi_env, load: &Load, placed: Placed, value: *mut sys::napi_value) -> sys::napi_status {
    // SAFETY: by the contract above. Lengths are below 2^29, as `MAX_STRING` has it.
    unsafe {
        match placed {
            Placed::Narrow { at, length } => {
                let text = &load.narrow[at..at + length];
                sys::napi_create_string_latin1(env, text.as_ptr().cast(), length.cast_signed(), value)
            }
            Placed::Wide { at, length } => {
                let text = &load.wide[at..at + length];
                sys::napi_create_string_utf16(env, text.as_ptr(), length.cast_signed(), value)
            }
        }
    }
}

const _: () = assert!(Kind::Event as u8 == 10, "`ts/native.ts` reads kinds by number");
