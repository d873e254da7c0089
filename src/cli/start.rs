//! What the process is given before a command runs.

use std::alloc::{GlobalAlloc, Layout, System};
#[cfg(not(unix))]
use std::io;
use std::io::Write;

/// Readies the process: no other thread runs yet.
pub fn prepare() {
    #[cfg(target_os = "linux")]
    keep_to_ourselves();
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    share_one_arena();
    fanin::cpu::start_threads();
}

/// Mesa's EGL connects to `wayland-0` in XDG_RUNTIME_DIR, whosever it is, and complains on stderr where
/// the variable is not set. We open no windows. So where the folder is not the user's alone, the
/// variable names a place where nobody can put a socket.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn keep_to_ourselves() {
    use std::os::unix::fs::MetadataExt;
    const NAME: &str = "XDG_RUNTIME_DIR";
    let own = |folder| {
        std::fs::metadata(folder).is_ok_and(|found| {
            let user = rustix::process::geteuid().as_raw();
            found.is_dir() && found.uid() == user && found.mode() & 0o022 == 0
        })
    };
    if !std::env::var_os(NAME).is_some_and(own) {
        // SAFETY: no other thread runs yet.
        unsafe { std::env::set_var(NAME, "/dev/null") };
    }
}

/// Where memory is limited, a thread's own arena (64 MiB of addresses) could leave nothing for what
/// else it allocates as it starts, without which the C library aborts.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
fn share_one_arena() {
    use rustix::process::{Resource, getrlimit};
    if getrlimit(Resource::As).current.is_some() {
        // SAFETY: it sets a number.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    }
}

/// The system's allocator, which ends the process with an error where there is no memory: Rust would
/// abort it.
struct OrExit;

#[global_allocator]
static ALLOCATOR: OrExit = OrExit;

impl OrExit {
    fn some(pointer: *mut u8, bytes: usize) -> *mut u8 {
        if pointer.is_null() {
            let mut text = [0; 96];
            let mut rest = &mut text[..];
            let _ = writeln!(rest, "error: out of memory: {bytes} bytes cannot be had");
            let length = 96 - rest.len();
            end(&text[..length]);
        }
        pointer
    }
}

/// Ends the process at once, with a text on stderr: nothing that holds a lock or allocates is called.
#[cfg(unix)]
#[allow(unsafe_code)]
fn end(text: &[u8]) -> ! {
    // SAFETY: the text is that long.
    unsafe {
        libc::write(2, text.as_ptr().cast(), text.len());
        libc::_exit(1)
    }
}

#[cfg(not(unix))]
fn end(text: &[u8]) -> ! {
    let _ = io::stderr().write_all(text);
    std::process::exit(1)
}

// SAFETY: each call is handed on to the system's allocator as it is.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for OrExit {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's.
        OrExit::some(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's.
        OrExit::some(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: the caller's.
        OrExit::some(unsafe { System.realloc(old, layout, bytes) }, bytes)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's.
        unsafe { System.dealloc(pointer, layout) }
    }
}
