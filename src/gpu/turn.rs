use std::fmt;
use std::ops::Deref;

use parking_lot::{ReentrantMutex, ReentrantMutexGuard};

/// Held by the thread that uses OpenGL.
static GL: ReentrantMutex<()> = ReentrantMutex::new(());

/// Whether a device's users must take turns.
///
/// An OpenGL adapter has one context, which whoever creates, submits, waits or drops must hold. wgpu
/// holds it while the driver compiles, on software drivers while it computes too, and panics in a
/// thread that has waited for it for 6 seconds. So threads wait here instead, for as long as it takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turns {
    gl: bool,
}

impl Turns {
    pub(crate) fn of(backend: wgpu::Backend) -> Turns {
        Turns { gl: backend == wgpu::Backend::Gl }
    }

    /// Waits for the turn, which lasts as long as what is returned. A thread may take it again.
    pub(crate) fn take(self) -> Option<ReentrantMutexGuard<'static, ()>> {
        self.gl.then(|| GL.lock())
    }
}

/// A part of a device, dropped in turn: the last to hold a buffer or a pipeline frees it.
#[derive(Clone)]
pub(crate) struct Held<T> {
    /// Some until the drop.
    value: Option<T>,
    turns: Turns,
}

impl<T> Held<T> {
    pub(crate) fn new(value: T, turns: Turns) -> Held<T> {
        Held { value: Some(value), turns }
    }
}

impl<T> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("held until dropped")
    }
}

impl<T: fmt::Debug> fmt::Debug for Held<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.deref().fmt(f)
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        let _turn = self.turns.take();
        self.value = None;
    }
}

/// A buffer of a device.
pub(crate) type Buffer = Held<wgpu::Buffer>;
