//! The stream of the FSEvents framework: one thread with a run loop, ended by `Drop`.
//!
//! The calls are those of FSEvents.h and CFRunLoop.h. Safe around them: the thread that makes the stream also runs,
//! ends and releases it; what the callback is given lives until that thread has ended.
#![allow(unsafe_code)] // The framework is C.

use super::LATENCY;
use super::decode::flag;
use super::events::Inbox;
use fsevent_sys as fs;
use fsevent_sys::core_foundation as cf;
use rustix::fs::{Mode, OFlags};
use std::ffi::{CStr, CString, c_char, c_void};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

/// By file; the root's own fate too; the first event of a series at once. Without `UseCFTypes`, on which the callback
/// relies, and without `IgnoreSelf`: what this process writes may lie over what somebody else wrote.
const FLAGS: u32 = fs::kFSEventStreamCreateFlagWatchRoot | fs::kFSEventStreamCreateFlagNoDefer | fs::kFSEventStreamCreateFlagFileEvents;

/// The flags as `decode` has them are the framework's.
const _: () = {
    assert!(FLAGS & fs::kFSEventStreamCreateFlagUseCFTypes == 0);
    assert!(flag::MUST_SCAN_SUB_DIRS == fs::kFSEventStreamEventFlagMustScanSubDirs);
    assert!(flag::USER_DROPPED == fs::kFSEventStreamEventFlagUserDropped);
    assert!(flag::KERNEL_DROPPED == fs::kFSEventStreamEventFlagKernelDropped);
    assert!(flag::EVENT_IDS_WRAPPED == fs::kFSEventStreamEventFlagEventIdsWrapped);
    assert!(flag::HISTORY_DONE == fs::kFSEventStreamEventFlagHistoryDone);
    assert!(flag::ROOT_CHANGED == fs::kFSEventStreamEventFlagRootChanged);
    assert!(flag::MOUNT == fs::kFSEventStreamEventFlagMount);
    assert!(flag::UNMOUNT == fs::kFSEventStreamEventFlagUnmount);
    assert!(flag::ITEM_CREATED == fs::kFSEventStreamEventFlagItemCreated);
    assert!(flag::ITEM_INODE_META_MOD == fs::kFSEventStreamEventFlagItemInodeMetaMod);
    assert!(flag::ITEM_RENAMED == fs::kFSEventStreamEventFlagItemRenamed);
    assert!(flag::ITEM_CHANGE_OWNER == fs::kFSEventStreamEventFlagItemChangeOwner);
    assert!(flag::ITEM_IS_DIR == fs::kFSEventStreamEventFlagItemIsDir);
};

/// The folder's path as events name it: links resolved, letters as the disk has them (fcntl(2), `F_GETPATH`).
pub(super) fn real(root: &Path) -> io::Result<CString> {
    let dir = rustix::fs::open(root, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    Ok(rustix::fs::getpath(&dir)?)
}

/// What fills an inbox until it is dropped.
pub(super) struct Stream {
    /// The run loop of the thread, as a number: it is only ever told to stop.
    run_loop: usize,
    /// Says that the loop has ended. (Only `Drop` asks; behind a lock a watcher may move between threads.)
    ended: Mutex<mpsc::Receiver<()>>,
    /// Dropped when the loop is told nothing more: the thread, and the loop with it, lives until then.
    leave: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Stream {
    /// Watches a path from now on.
    ///
    /// # Errors
    /// A path that is not UTF-8; what the framework refuses.
    pub(super) fn new(path: CString, inbox: Arc<Inbox>) -> io::Result<Stream> {
        let (started, wait) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let (leave, left) = mpsc::channel();
        let main = move || {
            if run(&inbox, &path, &started) {
                let _ = end.send(());
                let _ = left.recv();
            }
        };
        // A thread's stack is reserved, not used: the run loop needs little of it.
        let thread = std::thread::Builder::new().name("fsevents".into()).stack_size(256 * 1024).spawn(main)?;
        match wait.recv() {
            Ok(Some(run_loop)) => Ok(Stream { run_loop, ended: Mutex::new(ended), leave: Some(leave), thread: Some(thread) }),
            _ => Err(io::Error::other("FSEvents refuses to watch it")),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        loop {
            // Again, because a stop that comes before the loop has begun is forgotten.
            // SAFETY: the run loop lives as long as its thread, which waits for `leave` to be dropped.
            unsafe { cf::CFRunLoopStop(self.run_loop as cf::CFRunLoopRef) };
            if ended.recv_timeout(Duration::from_millis(2)) != Err(mpsc::RecvTimeoutError::Timeout) {
                break;
            }
        }
        self.leave = None;
        let _ = thread.join();
    }
}

/// The thread: makes the stream, says where its run loop is (nothing if that failed), and runs it until it is stopped;
/// true if it ran.
fn run(inbox: &Inbox, path: &CStr, started: &mpsc::Sender<Option<usize>>) -> bool {
    // SAFETY: plain C calls with valid arguments; every object made here is released here, and `inbox` outlives the
    // stream, since this thread holds it until it ends.
    unsafe {
        let Some(stream) = create(inbox, path) else {
            let _ = started.send(None);
            return false;
        };
        let run_loop = cf::CFRunLoopGetCurrent();
        fs::FSEventStreamScheduleWithRunLoop(stream, run_loop, cf::kCFRunLoopDefaultMode);
        let runs = fs::FSEventStreamStart(stream) != 0;
        if runs {
            let _ = started.send(Some(run_loop as usize));
            cf::CFRunLoopRun();
            fs::FSEventStreamStop(stream);
        } else {
            let _ = started.send(None);
        }
        fs::FSEventStreamInvalidate(stream);
        fs::FSEventStreamRelease(stream);
        runs
    }
}

/// # Safety
/// `inbox` must outlive the stream.
unsafe fn create(inbox: &Inbox, path: &CStr) -> Option<fs::FSEventStreamRef> {
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
            info: std::ptr::from_ref(inbox).cast_mut().cast(),
            retain: None,
            release: None,
            copy_description: None,
        };
        let stream =
            fs::FSEventStreamCreate(cf::kCFAllocatorDefault, told, &context, paths, fs::kFSEventStreamEventIdSinceNow, LATENCY, FLAGS);
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
        let inbox = &*info.cast::<Inbox>().cast_const();
        let paths = paths.cast::<*const c_char>();
        inbox.take((0..count).map(|i| (CStr::from_ptr(*paths.add(i)).to_bytes(), *flags.add(i))));
    }
}
