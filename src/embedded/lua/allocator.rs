//! Lua's memory: counted, with a limit.

use std::{
    alloc::{self, Layout},
    cell::{Cell, UnsafeCell},
    ffi::c_void,
    ptr,
};

use super::interpreter::Interpreter;

/// Lua asks for no more than this: the strictest alignment of a C type that it stores.
const ALIGN: usize = 16;

/// What an interpreter has allocated. Beyond its limit, allocations fail, and the script that asked ends with
/// `not enough memory`.
pub(super) struct Memory {
    used: Cell<usize>,
    limit: usize,
    enforced: Cell<bool>,
    /// Whose memory it is; any stack finds its interpreter here. Empty only while the interpreter is being made.
    owner: UnsafeCell<Option<Interpreter>>,
}

impl Memory {
    /// Unlimited at first, while the interpreter is set up.
    pub(super) fn new(limit: usize) -> Box<Self> {
        Box::new(Self { used: Cell::new(0), limit, enforced: Cell::new(false), owner: UnsafeCell::new(None) })
    }

    /// Gives the memory its interpreter.
    ///
    /// # Safety
    /// Once, before anything calls [`owner`](Self::owner).
    pub(super) unsafe fn adopt(&self, owner: Interpreter) {
        // SAFETY: as the caller promises, nobody looks yet.
        unsafe { *self.owner.get() = Some(owner) };
    }

    /// The interpreter.
    ///
    /// # Safety
    /// After [`adopt`](Self::adopt); no other reference to it is in use.
    #[expect(clippy::mut_from_ref, reason = "the caller promises what a lock would check")]
    pub(super) unsafe fn owner(&self) -> &mut Interpreter {
        // SAFETY: as the caller promises.
        unsafe { (*self.owner.get()).as_mut().expect("adopted when the machine was made") }
    }

    /// Applies or lifts the limit.
    pub(super) fn enforce(&self, yes: bool) {
        self.enforced.set(yes);
    }

    /// Bytes in use.
    pub(super) fn used(&self) -> usize {
        self.used.get()
    }
}

/// Lua's allocation function: `data` is the [`Memory`].
pub(super) unsafe extern "C" fn allocate(
    data: *mut c_void,
    block: *mut c_void,
    old_size: usize,
    new_size: usize,
) -> *mut c_void {
    // SAFETY: `data` is the `Memory` that the state was made with; it outlives the state. Only a shared reference to its
    // counters is made, so that a body may hold the interpreter meanwhile.
    let (used, limit, enforced) = unsafe {
        let memory = data.cast::<Memory>();
        (&(*memory).used, (*memory).limit, (*memory).enforced.get())
    };
    let layout = |size| Layout::from_size_align(size, ALIGN).ok();
    // Lua passes 0 for a null block; a block of size 0 it never asks for.
    let old_size = if block.is_null() { 0 } else { old_size };
    if new_size == 0 {
        if let (false, Some(layout)) = (block.is_null(), layout(old_size)) {
            // SAFETY: allocated below with this layout.
            unsafe { alloc::dealloc(block.cast(), layout) };
            used.set(used.get() - old_size);
        }
        return ptr::null_mut();
    }
    if enforced && new_size > old_size && used.get() + (new_size - old_size) > limit {
        return ptr::null_mut();
    }
    let Some(new_layout) = layout(new_size) else { return ptr::null_mut() };
    // SAFETY: neither size is 0, and an old block was allocated with its old size.
    let new = unsafe {
        match (block.is_null(), layout(old_size)) {
            (false, Some(old_layout)) => alloc::realloc(block.cast(), old_layout, new_size),
            _ => alloc::alloc(new_layout),
        }
    };
    if new.is_null() {
        // Shrinking must not fail, and without a limit there is nobody to tell.
        if !enforced || new_size <= old_size {
            alloc::handle_alloc_error(new_layout);
        }
        return ptr::null_mut();
    }
    used.set(used.get() - old_size + new_size);
    new.cast()
}
