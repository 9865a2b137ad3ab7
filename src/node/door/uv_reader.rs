//! Reads a connection in the event loop of its JavaScript thread, as long as the link lends it
//! ([`Lender`](crate::connection::Lender)): no hop to the I/O thread and back.
//!
//! # Life of a watch
//! A [`Watch`] is one loan and one handle of libuv. It ends when the loan does, when its service is closed, or when the
//! environment ends, whichever is first, and frees its memory when libuv says that it has let go. Until then an
//! asynchronous clean-up hook keeps the environment from ending; after that nothing of it is left in the loop.

use std::{
    cell::{Cell, RefCell},
    ffi::{c_int, c_void},
    os::fd::AsRawFd,
    ptr,
    rc::{Rc, Weak},
    sync::Arc,
};

use napi::sys;

use super::{
    deliver::{Turn, deliver},
    env_door::{EnvDoor, guarded},
    uv::{Memory, Uv},
};
use crate::connection::{Lender, Loan, ReplySink};

/// Reads for the commands of one service.
pub(crate) struct UvReader {
    lender: Lender,
    door: Weak<EnvDoor>,
    /// Whom replies of this environment go to.
    sink: Arc<dyn ReplySink>,
    watch: RefCell<Option<Rc<Watch>>>,
}

impl UvReader {
    pub(super) fn new(lender: Lender, door: &Rc<EnvDoor>) -> Self {
        Self { lender, door: Rc::downgrade(door), sink: door.sink(), watch: RefCell::default() }
    }

    /// Called after each batch: begins to read, or ceases, as the link wants it.
    pub(crate) fn submitted(&self) {
        if let Some(watch) = &*self.watch.borrow() {
            if watch.is_on() {
                return;
            }
            watch.close();
        }
        let Some(loan) = self.lender.borrow(&self.sink) else { return };
        *self.watch.borrow_mut() = self.door.upgrade().and_then(|door| Watch::open(&door, loan));
    }

    /// Whether this thread reads.
    pub(crate) fn is_reading(&self) -> bool {
        self.watch.borrow().as_ref().is_some_and(|watch| watch.is_on())
    }
}

impl Drop for UvReader {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.get_mut() {
            watch.close();
        }
    }
}

struct Watch {
    uv: &'static Uv,
    handle: RefCell<Memory>,
    /// None once closed.
    loan: RefCell<Option<Loan>>,
    door: Weak<EnvDoor>,
    hook: Cell<sys::napi_async_cleanup_hook_handle>,
}

impl Watch {
    /// None where there is no libuv, or it refuses.
    fn open(door: &Rc<EnvDoor>, loan: Loan) -> Option<Rc<Self>> {
        let uv = Uv::get()?;
        let descriptor = loan.as_raw_fd();
        let watch = Rc::new(Self {
            uv,
            handle: RefCell::new(uv.memory()),
            loan: RefCell::new(Some(loan)),
            door: Rc::downgrade(door),
            hook: Cell::new(ptr::null_mut()),
        });
        let (mut event_loop, mut hook) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: on the thread of the environment, whose loop this is. The handle gets a count of the watch, which it
        // has until it is closed; so does, with it, the hook.
        unsafe {
            if sys::napi_get_uv_event_loop(door.env, &raw mut event_loop) != sys::Status::napi_ok
                || !uv.open(event_loop.cast(), watch.handle(), descriptor)
            {
                return None;
            }
            let data = Rc::into_raw(Rc::clone(&watch)).cast_mut().cast::<c_void>();
            sys::napi_add_async_cleanup_hook(door.env, Some(ended), data, &raw mut hook);
            watch.hook.set(hook);
            if !uv.watch(watch.handle(), data, readable) {
                watch.close();
                return None;
            }
        }
        Some(watch)
    }

    fn handle(&self) -> *mut c_void {
        self.handle.borrow_mut().as_mut_ptr().cast()
    }

    fn is_on(&self) -> bool {
        self.loan.borrow().as_ref().is_some_and(Loan::is_on)
    }

    /// Ceases to read. Doing so twice is safe.
    fn close(&self) {
        let Some(loan) = self.loan.take() else { return };
        // SAFETY: the loan was there, so the handle is open; targets of an environment live on its thread.
        unsafe {
            let data = self.uv.data(self.handle());
            self.uv.close(self.handle(), data, closed);
        }
        // After libuv: the descriptor may be closed with it.
        drop(loan);
    }
}

/// The watch that a callback is about, kept while it runs.
///
/// # Safety
///
/// `data` is a watch whose handle has not been freed.
unsafe fn watch_of(data: *mut c_void) -> Rc<Watch> {
    let data = data.cast_const().cast::<Watch>();
    // SAFETY: by the contract above, the count of the handle is there.
    unsafe {
        Rc::increment_strong_count(data);
        Rc::from_raw(data)
    }
}

/// There is something to read, or the connection ended.
///
/// # Safety
///
/// Called by libuv, on the thread of the environment.
unsafe extern "C" fn readable(handle: *mut c_void, status: c_int, _events: c_int) {
    let _ = guarded(|| {
        let Some(uv) = Uv::get() else { return };
        // SAFETY: an open handle has its watch as data.
        let watch = unsafe { watch_of(uv.data(handle)) };
        let Some(door) = watch.door.upgrade() else { return watch.close() };
        // While the I/O thread is at it, it tells us itself: what it has settled so far is not ours to deliver, because the
        // link does not count itself idle yet.
        let polled = watch.loan.borrow().as_ref().is_some_and(|loan| loan.poll(|| door.completions.announce()));
        if polled {
            let mut scope = ptr::null_mut();
            // SAFETY: on the thread of the environment, which has not ended: its hook would have closed the handle.
            unsafe {
                sys::napi_open_handle_scope(door.env, &raw mut scope);
                deliver(&door, Turn::OfOurs);
                sys::napi_close_handle_scope(door.env, scope);
            }
        }
        // With an error libuv has ceased to watch.
        if status < 0 || !watch.is_on() {
            watch.close();
        }
    });
}

/// The environment ends. What remains to be done follows when the handle is closed.
///
/// # Safety
///
/// Called by Node, once, on the thread of the environment, unless the hook was removed.
unsafe extern "C" fn ended(_hook: sys::napi_async_cleanup_hook_handle, data: *mut c_void) {
    // SAFETY: the hook is removed just before the count of the handle is given back.
    let watch = unsafe { watch_of(data) };
    let _ = guarded(|| watch.close());
}

/// The last that libuv says of a handle.
///
/// # Safety
///
/// Called by libuv, once, on the thread of the environment.
unsafe extern "C" fn closed(handle: *mut c_void) {
    let Some(uv) = Uv::get() else { return };
    // SAFETY: the data is the count that the handle was given. Removing the hook, which is there exactly once, lets an
    // environment end that waits for it.
    unsafe {
        let watch = Rc::from_raw(uv.data(handle).cast_const().cast::<Watch>());
        if !watch.hook.get().is_null() {
            sys::napi_remove_async_cleanup_hook(watch.hook.get());
        }
    }
}
