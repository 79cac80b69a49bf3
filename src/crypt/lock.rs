//! Keeping a secret out of swap. The one unsafe call of this module, in a leaf of its own.
#![allow(unsafe_code)]

/// Asks the system never to write this value to swap (mlock(2)). Best effort: where the limit of locked memory is used
/// up nothing happens. They are not unlocked again, because locks do not nest and the page may hold another secret.
pub(super) fn keep_from_swap<T>(secret: &T) {
    let at = std::ptr::from_ref(secret).cast_mut().cast();
    // SAFETY: the range is one live allocation, and locking a page changes neither its content nor its validity.
    let _ = unsafe { rustix::mm::mlock(at, size_of::<T>()) };
}
