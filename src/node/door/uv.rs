//! What we use of libuv. Its functions are part of the executable that loaded us: they are looked up when one is first
//! needed, so that a runtime without them loads us as well.

use std::{
    ffi::{CStr, c_int, c_void},
    mem::MaybeUninit,
    sync::OnceLock,
};

/// `uv_handle_type`, `uv_poll_event`: numbers that libuv promises to keep.
const POLL: c_int = 8;
const READABLE: c_int = 1;

pub(super) type PollCallback = unsafe extern "C" fn(handle: *mut c_void, status: c_int, events: c_int);
pub(super) type CloseCallback = unsafe extern "C" fn(handle: *mut c_void);

pub(super) struct Uv {
    poll_init: unsafe extern "C" fn(*mut c_void, *mut c_void, c_int) -> c_int,
    poll_start: unsafe extern "C" fn(*mut c_void, c_int, PollCallback) -> c_int,
    close: unsafe extern "C" fn(*mut c_void, CloseCallback),
    handle_size: unsafe extern "C" fn(c_int) -> usize,
    get_data: unsafe extern "C" fn(*const c_void) -> *mut c_void,
    set_data: unsafe extern "C" fn(*mut c_void, *mut c_void),
    unref: unsafe extern "C" fn(*mut c_void),
}

/// Memory of a `uv_poll_t`, with the alignment of any C type.
pub(super) type Memory = Box<[MaybeUninit<u128>]>;

impl Uv {
    /// None where the executable has no libuv.
    #[expect(clippy::missing_transmute_annotations, reason = "each field declares the type that its symbol has")]
    pub(super) fn get() -> Option<&'static Self> {
        static UV: OnceLock<Option<Uv>> = OnceLock::new();
        // SAFETY: the types are those of libuv 1, whose interface is stable.
        let find = || unsafe {
            Some(Uv {
                poll_init: std::mem::transmute::<*mut c_void, _>(find(c"uv_poll_init")?),
                poll_start: std::mem::transmute::<*mut c_void, _>(find(c"uv_poll_start")?),
                close: std::mem::transmute::<*mut c_void, _>(find(c"uv_close")?),
                handle_size: std::mem::transmute::<*mut c_void, _>(find(c"uv_handle_size")?),
                get_data: std::mem::transmute::<*mut c_void, _>(find(c"uv_handle_get_data")?),
                set_data: std::mem::transmute::<*mut c_void, _>(find(c"uv_handle_set_data")?),
                unref: std::mem::transmute::<*mut c_void, _>(find(c"uv_unref")?),
            })
        };
        UV.get_or_init(find).as_ref()
    }

    pub(super) fn memory(&self) -> Memory {
        // SAFETY: it takes any number of a type.
        let size = unsafe { (self.handle_size)(POLL) };
        Box::new_uninit_slice(size.div_ceil(size_of::<u128>()))
    }

    /// Makes a handle that keeps no loop running; false when libuv refuses, and then the memory is free again.
    ///
    /// # Safety
    ///
    /// On the thread of the loop, with [`memory`](Self::memory) that stays in place until the handle is closed.
    pub(super) unsafe fn open(&self, event_loop: *mut c_void, handle: *mut c_void, descriptor: c_int) -> bool {
        // SAFETY: by the contract above.
        unsafe {
            let made = (self.poll_init)(event_loop, handle, descriptor) == 0;
            if made {
                (self.unref)(handle);
            }
            made
        }
    }

    /// Calls back, with `data` attached, while the descriptor has something to read; false when libuv refuses.
    ///
    /// # Safety
    ///
    /// On the thread of the loop, with an open handle.
    pub(super) unsafe fn watch(&self, handle: *mut c_void, data: *mut c_void, callback: PollCallback) -> bool {
        // SAFETY: by the contract above.
        unsafe {
            (self.set_data)(handle, data);
            (self.poll_start)(handle, READABLE, callback) == 0
        }
    }

    /// Never calls back again; the descriptor is free at once, the memory when `closed` is called.
    ///
    /// # Safety
    ///
    /// Once, on the thread of the loop, with an open handle.
    pub(super) unsafe fn close(&self, handle: *mut c_void, data: *mut c_void, closed: CloseCallback) {
        // SAFETY: by the contract above.
        unsafe {
            (self.set_data)(handle, data);
            (self.close)(handle, closed);
        }
    }

    /// # Safety
    ///
    /// With a handle that is not closed.
    pub(super) unsafe fn data(&self, handle: *mut c_void) -> *mut c_void {
        // SAFETY: by the contract above.
        unsafe { (self.get_data)(handle) }
    }
}

fn find(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: the name is a C string; what is found is only a number here.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!found.is_null()).then_some(found)
}
