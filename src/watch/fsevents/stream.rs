//! The stream of the FSEvents framework: one thread with a run loop, ended by `Drop`.
//!
//! The calls are those of FSEvents.h and CFRunLoop.h. Safe around them: the thread that makes the stream also runs,
//! ends and releases it; what the callback is given lives until that thread has ended.
#![allow(unsafe_code)] // The framework is C.

use super::super::pending::Pending;
use super::super::{Change, Skip, Step};
use super::Decoder;
use fsevent_sys as fs;
use fsevent_sys::core_foundation as cf;
use smol::channel::{Receiver, Sender};
use std::ffi::{CStr, CString, c_char, c_void};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

/// Seconds that the system gathers events before it tells them; the first of a series comes at once (`NoDefer`).
const LATENCY: f64 = 0.05;

/// Events below one root.
pub(in super::super) struct Stream {
    shared: Arc<Shared>,
    woken: Receiver<()>,
    /// The run loop of the thread, as a number: it is only ever told to stop.
    run_loop: usize,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    decoder: Mutex<Decoder>,
    pending: Mutex<Pending>,
    /// Holds one message at most: look.
    wake: Sender<()>,
}

impl Stream {
    /// Watches from now on.
    ///
    /// # Errors
    /// A path that is not there or not UTF-8; what the framework refuses.
    pub(in super::super) fn new(root: &Path, skip: Skip) -> io::Result<Stream> {
        // Events name their paths with all links resolved (`/private/var/...`).
        let root = root.canonicalize()?;
        let path = CString::new(root.as_os_str().as_bytes())?;
        let (wake, woken) = smol::channel::bounded(1);
        let shared =
            Arc::new(Shared { decoder: Mutex::new(Decoder::new(path.as_bytes(), skip)), pending: Mutex::new(Pending::default()), wake });
        let (started, wait) = mpsc::channel();
        let for_thread = shared.clone();
        // A thread's stack is reserved, not used: the run loop needs little of it.
        let thread =
            std::thread::Builder::new().name("fsevents".into()).stack_size(256 * 1024).spawn(move || run(&for_thread, &path, &started))?;
        match wait.recv() {
            Ok(Some(run_loop)) => Ok(Stream { shared, woken, run_loop, thread: Some(thread) }),
            _ => Err(io::Error::other("FSEvents refuses to watch it")),
        }
    }

    /// Waits until there is something.
    pub(in super::super) async fn readable(&self) {
        // An error would say that nobody sends any more; the sender lives in `self`.
        let _ = self.woken.recv().await;
    }

    /// Takes what there is.
    pub(in super::super) fn step(&mut self, out: &mut Pending) -> Step {
        let mut got = std::mem::take(&mut *self.shared.pending.lock().unwrap_or_else(PoisonError::into_inner));
        let mut step = Step::Idle;
        while let Some(change) = got.pop() {
            step = Step::Busy;
            match change {
                Change::Gone => return Step::Gone,
                Change::All => out.all(),
                Change::Tree(path) => out.tree(path),
                Change::Dir(path) => out.dir(path),
            }
        }
        step
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        while !thread.is_finished() {
            // Again, because a stop that comes before the loop has begun is forgotten.
            // SAFETY: the run loop lives as long as its thread, which has not been joined.
            unsafe { cf::CFRunLoopStop(self.run_loop as cf::CFRunLoopRef) };
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = thread.join();
    }
}

/// The thread: makes the stream, says where its run loop is (nothing if that failed), and runs it until it is stopped.
fn run(shared: &Shared, path: &CStr, started: &mpsc::Sender<Option<usize>>) {
    // SAFETY: plain C calls with valid arguments; every object made here is released here, and `shared` outlives the
    // stream, since the caller joins this thread before it drops it.
    unsafe {
        let Some(stream) = create(shared, path) else {
            let _ = started.send(None);
            return;
        };
        let run_loop = cf::CFRunLoopGetCurrent();
        fs::FSEventStreamScheduleWithRunLoop(stream, run_loop, cf::kCFRunLoopDefaultMode);
        if fs::FSEventStreamStart(stream) != 0 {
            let _ = started.send(Some(run_loop as usize));
            cf::CFRunLoopRun();
            fs::FSEventStreamStop(stream);
        } else {
            let _ = started.send(None);
        }
        fs::FSEventStreamInvalidate(stream);
        fs::FSEventStreamRelease(stream);
    }
}

/// # Safety
/// `shared` must outlive the stream.
unsafe fn create(shared: &Shared, path: &CStr) -> Option<fs::FSEventStreamRef> {
    // SAFETY: as above.
    unsafe {
        let text = cf::CFStringCreateWithCString(cf::kCFAllocatorDefault, path.as_ptr(), cf::kCFStringEncodingUTF8);
        if text.is_null() {
            return None;
        }
        let paths = cf::CFArrayCreateMutable(cf::kCFAllocatorDefault, 1, &cf::kCFTypeArrayCallBacks);
        if paths.is_null() {
            cf::CFRelease(text);
            return None;
        }
        cf::CFArrayAppendValue(paths, text);
        cf::CFRelease(text);
        let context = fs::FSEventStreamContext {
            version: 0,
            info: std::ptr::from_ref(shared).cast_mut().cast(),
            retain: None,
            release: None,
            copy_description: None,
        };
        let flags = fs::kFSEventStreamCreateFlagWatchRoot | fs::kFSEventStreamCreateFlagNoDefer | fs::kFSEventStreamCreateFlagFileEvents;
        let stream =
            fs::FSEventStreamCreate(cf::kCFAllocatorDefault, told, &context, paths, fs::kFSEventStreamEventIdSinceNow, LATENCY, flags);
        cf::CFRelease(paths);
        (!stream.is_null()).then_some(stream)
    }
}

/// The callback; called on the run loop's thread only.
extern "C" fn told(
    _: fs::FSEventStreamRef,
    info: *mut c_void,
    count: usize,
    paths: *mut c_void,
    flags: *const fs::FSEventStreamEventFlags,
    _: *const fs::FSEventStreamEventId,
) {
    // SAFETY: `info` is what `create` gave; without `UseCFTypes`, `paths` is an array of `count` C strings, and `flags`
    // one of as many numbers.
    unsafe {
        let shared = &*info.cast::<Shared>().cast_const();
        let decoder = shared.decoder.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pending = shared.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let paths = paths.cast::<*const c_char>();
        for i in 0..count {
            decoder.take(CStr::from_ptr(*paths.add(i)).to_bytes(), *flags.add(i), &mut pending);
        }
        // A full channel holds the same message already.
        let _ = shared.wake.try_send(());
    }
}
