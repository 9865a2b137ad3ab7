//! The calls of a cache that do not pass the door: they answer at once, from this process, in a few hundred nanoseconds.

use std::{
    cell::RefCell,
    ffi::{CStr, c_void},
    mem::MaybeUninit,
    ptr,
    rc::Rc,
};

use napi::{
    Env, JsValue,
    bindgen_prelude::{Object, Unknown},
    sys,
};
use napi_derive::napi;

use crate::cache::{
    Cache, MAX_TAGS,
    epochs::{SHARDS, Watch, epochs},
};

/// Integers that JavaScript reads after a [`peek`]: shard of the key, stamp, life in milliseconds, gaps, number of tags,
/// milliseconds that the value is fresh and those that it took to load, and the shards of the tags.
const LANES: usize = 7 + MAX_TAGS;

/// Bytes of a key or tag of 512 characters.
const SHORT: usize = 2_048;

/// What the functions of one cache work on, on the thread of its environment.
pub(super) struct CacheView {
    /// None once closed.
    pub(super) cache: RefCell<Option<Cache>>,
    lanes: Lanes,
}

/// An `Int32Array` of JavaScript, kept as long as this.
struct Lanes {
    env: sys::napi_env,
    reference: sys::napi_ref,
    start: *mut i32,
}

impl Drop for Lanes {
    fn drop(&mut self) {
        // SAFETY: views live and end on the thread of their environment.
        unsafe { sys::napi_delete_reference(self.env, self.reference) };
    }
}

impl CacheView {
    pub(super) fn new(env: Env, cache: Cache, lanes: Unknown<'_>) -> napi::Result<Self> {
        let env = env.raw();
        let (mut kind, mut length, mut start, mut reference) = (0, 0, ptr::null_mut(), ptr::null_mut());
        // SAFETY: on the thread of `env` with a value of its scope; the first call fails on what is no typed array.
        unsafe {
            let (none, nowhere) = (ptr::null_mut(), ptr::null_mut());
            check(sys::napi_get_typedarray_info(
                env,
                lanes.raw(),
                &raw mut kind,
                &raw mut length,
                &raw mut start,
                none,
                nowhere,
            ))?;
            if kind != sys::TypedarrayType::int32_array || length < LANES {
                return Err(napi::Error::from_reason(format!("a cache wants an Int32Array of {LANES} integers")));
            }
            check(sys::napi_create_reference(env, lanes.raw(), 1, &raw mut reference))?;
        }
        Ok(Self { cache: RefCell::new(Some(cache)), lanes: Lanes { env, reference, start: start.cast() } })
    }

    /// An object with the functions. They keep the view; after the cache was closed they do nothing.
    pub(super) fn functions<'env>(self: &Rc<Self>, env: &'env Env) -> napi::Result<Object<'env>> {
        type Raw = unsafe extern "C" fn(sys::napi_env, sys::napi_callback_info) -> sys::napi_value;
        let functions: [(&CStr, Raw); 4] =
            [(c"peek", peek), (c"peekStale", peek_stale), (c"touch", touch), (c"touchTags", touch_tags)];
        let env = env.raw();
        // SAFETY: on the thread of `env`. Each function owns a count of the view until it is collected.
        unsafe {
            let mut object = ptr::null_mut();
            check(sys::napi_create_object(env, &raw mut object))?;
            for (name, function) in functions {
                let mut value = ptr::null_mut();
                let length = name.count_bytes().cast_signed();
                let view = Rc::into_raw(Rc::clone(self)).cast_mut().cast::<c_void>();
                let made =
                    check(sys::napi_create_function(env, name.as_ptr(), length, Some(function), view, &raw mut value))
                        .and_then(|()| {
                            check(sys::napi_add_finalizer(
                                env,
                                value,
                                view,
                                Some(release),
                                ptr::null_mut(),
                                ptr::null_mut(),
                            ))
                        });
                if made.is_err() {
                    drop(Rc::from_raw(view.cast::<CacheView>()));
                }
                made?;
                check(sys::napi_set_named_property(env, object, name.as_ptr(), value))?;
            }
            Ok(Object::from_raw(env, object))
        }
    }

    fn write_lanes(&self, watch: &Watch, stamp: u32, life_ms: i64, gaps: u32, fresh_ms: i64, load_ms: u32) {
        let tags = watch.tags.len().min(MAX_TAGS);
        // SAFETY: the array has `LANES` integers, and its reference keeps it.
        let lanes = unsafe { std::slice::from_raw_parts_mut(self.lanes.start, LANES) };
        lanes[0] = watch.key.cast_signed();
        lanes[1] = stamp.cast_signed();
        lanes[2] = i32::try_from(life_ms).unwrap_or(i32::MAX);
        lanes[3] = gaps.cast_signed();
        lanes[4] = i32::try_from(tags).unwrap_or(0);
        lanes[5] = i32::try_from(fresh_ms).unwrap_or(i32::MAX);
        lanes[6] = i32::try_from(load_ms).unwrap_or(i32::MAX);
        for (lane, shard) in lanes[7..].iter_mut().zip(&watch.tags) {
            *lane = shard.cast_signed();
        }
    }
}

/// # Safety
///
/// Called by Node when a function is collected, with the count that it owned.
unsafe extern "C" fn release(_env: sys::napi_env, view: *mut c_void, _hint: *mut c_void) {
    // SAFETY: by the contract above.
    drop(unsafe { Rc::from_raw(view.cast::<CacheView>()) });
}

/// `peek(key, ...tags)`: the text of a valid entry in this process, with its validity in the lanes; or `undefined`, with
/// the validity that a value would have which is loaded from now on.
///
/// # Safety
///
/// Called by Node with a [`CacheView`] that outlives the function as its data.
unsafe extern "C" fn peek(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: by the contract above.
    unsafe {
        entered(env, info, |view, cache, names| {
            let (Some(&key), tags) = (names.first(), names.get(1..).unwrap_or_default()) else { return None };
            with_text(env, key, |key| {
                if let Some(entry) = cache.peek(key) {
                    let now = cache.now_ms();
                    let (life, fresh) = (entry.expires_at_ms - now, entry.fresh_until_ms.saturating_sub(now));
                    view.write_lanes(&entry.watch, entry.stamp, life, cache.gaps(), fresh, entry.load_ms);
                    return string(env, &entry.text);
                }
                let tags: Vec<String> =
                    tags.iter().filter_map(|&tag| with_text(env, tag, |tag| Some(tag.to_owned()))).collect();
                let watch = cache.watch(key, &tags);
                let stamp = watch.stamp();
                view.write_lanes(&watch, stamp, 0, cache.gaps(), 0, 0);
                None
            })
        })
    }
}

/// `peekStale(key)`: the text of an entry in this process that was not invalidated, fresh or not, with its validity and, as
/// its life, how long it may still stand in for a source, in the lanes; or `undefined`.
///
/// # Safety
///
/// As [`peek`].
unsafe extern "C" fn peek_stale(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: by the contract above.
    unsafe {
        entered(env, info, |view, cache, names| {
            with_text(env, *names.first()?, |key| {
                let entry = cache.peek_stale(key)?;
                let life = entry.stale_until_ms - cache.now_ms();
                view.write_lanes(&entry.watch, entry.stamp, life, 0, 0, entry.load_ms);
                string(env, &entry.text)
            })
        })
    }
}

/// `touch(...keys)`: ends every copy of these keys in this process.
///
/// # Safety
///
/// As [`peek`].
unsafe extern "C" fn touch(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: by the contract above.
    unsafe {
        entered(env, info, |_, cache, names| {
            for &name in names {
                with_text(env, name, |key| {
                    epochs().bump(cache.watch(key, &[]).key);
                    None::<()>
                });
            }
            None
        })
    }
}

/// `touchTags(...tags)`: ends every copy in this process that carries one of these tags.
///
/// # Safety
///
/// As [`peek`].
unsafe extern "C" fn touch_tags(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: by the contract above.
    unsafe {
        entered(env, info, |_, cache, names| {
            for &name in names {
                with_text(env, name, |tag| {
                    epochs().bump(cache.tag_shard(tag));
                    None::<()>
                });
            }
            None
        })
    }
}

/// Runs `work` with the view, its cache unless closed, and the arguments of the call.
///
/// # Safety
///
/// As [`peek`].
unsafe fn entered(
    env: sys::napi_env,
    info: sys::napi_callback_info,
    work: impl FnOnce(&CacheView, &Cache, &[sys::napi_value]) -> Option<sys::napi_value>,
) -> sys::napi_value {
    const MOST: usize = 1 + MAX_TAGS;
    let mut arguments = [ptr::null_mut(); MOST];
    let (mut count, mut data) = (MOST, ptr::null_mut());
    // SAFETY: `info` is of the running call; `count` says how much room there is.
    let view = unsafe {
        sys::napi_get_cb_info(env, info, &raw mut count, arguments.as_mut_ptr(), ptr::null_mut(), &raw mut data);
        data.cast::<CacheView>().as_ref()
    };
    // A panic must not unwind into Node. Nothing of ours is left half done by one: a read answers that nothing is there.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let view = view?;
        let cache = view.cache.borrow();
        work(view, cache.as_ref()?, &arguments[..count.min(MOST)])
    }))
    .ok()
    .flatten()
    .unwrap_or(ptr::null_mut())
}

/// Runs `work` with the text of a JavaScript string.
///
/// # Safety
///
/// On the thread of `env`, with a value of its scope.
unsafe fn with_text<T>(env: sys::napi_env, value: sys::napi_value, work: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    let mut short = [MaybeUninit::<u8>::uninit(); SHORT];
    let mut length = 0;
    // SAFETY: by the contract above; the buffer has room for as many bytes as is said.
    let status =
        unsafe { sys::napi_get_value_string_utf8(env, value, short.as_mut_ptr().cast(), SHORT, &raw mut length) };
    if status != sys::Status::napi_ok {
        return None;
    }
    if length + 4 < SHORT {
        // SAFETY: that many bytes were just written.
        let bytes = unsafe { std::slice::from_raw_parts(short.as_ptr().cast::<u8>(), length) };
        return work(std::str::from_utf8(bytes).ok()?);
    }
    // SAFETY: a null buffer asks for the length; then there is room for it and the terminating zero.
    let long = unsafe {
        sys::napi_get_value_string_utf8(env, value, ptr::null_mut(), 0, &raw mut length);
        let mut long = vec![0_u8; length + 1];
        sys::napi_get_value_string_utf8(env, value, long.as_mut_ptr().cast(), length + 1, &raw mut length);
        long.truncate(length);
        long
    };
    work(std::str::from_utf8(&long).ok()?)
}

/// A JavaScript string, in the narrowest form; V8's own UTF-8 decoder is several times slower.
///
/// # Safety
///
/// On the thread of `env`, in an open scope.
unsafe fn string(env: sys::napi_env, text: &str) -> Option<sys::napi_value> {
    let mut value = ptr::null_mut();
    // SAFETY: by the contract above; the lengths are those of the buffers.
    let status = unsafe {
        if text.is_ascii() {
            sys::napi_create_string_latin1(env, text.as_ptr().cast(), text.len().cast_signed(), &raw mut value)
        } else {
            let wide: Vec<u16> = text.encode_utf16().collect();
            sys::napi_create_string_utf16(env, wide.as_ptr(), wide.len().cast_signed(), &raw mut value)
        }
    };
    (status == sys::Status::napi_ok).then_some(value)
}

fn check(status: sys::napi_status) -> napi::Result<()> {
    if status == sys::Status::napi_ok {
        Ok(())
    } else {
        Err(napi::Error::new(status.into(), "Node-API refused a call of the cache"))
    }
}

/// The epochs of the process as an `Int32Array` over their own memory, the same in every thread; `undefined` where the
/// runtime allows no such array. Call it once a thread.
#[napi(ts_return_type = "Int32Array | undefined")]
pub(super) fn cache_epochs(env: Env) -> Option<Unknown<'static>> {
    let raw = env.raw();
    let (mut buffer, mut array) = (ptr::null_mut(), ptr::null_mut());
    let address = epochs().address().cast_mut().cast::<c_void>();
    // SAFETY: on the thread of `env`. The memory is never freed, so nothing has to be told when the array is collected;
    // it is only ever read and written in aligned 32-bit pieces.
    unsafe {
        let bytes = SHARDS * size_of::<u32>();
        let made = sys::napi_create_external_arraybuffer(raw, address, bytes, None, ptr::null_mut(), &raw mut buffer);
        let viewed = made == sys::Status::napi_ok
            && sys::napi_create_typedarray(raw, sys::TypedarrayType::int32_array, SHARDS, buffer, 0, &raw mut array)
                == sys::Status::napi_ok;
        viewed.then(|| Unknown::from_raw_unchecked(raw, array))
    }
}
