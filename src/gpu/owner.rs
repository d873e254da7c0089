//! Whose a tensor is.

use super::turn::Held;
use crate::host;

/// A device, as the tensors in its buffers know it.
///
/// wgpu numbers buffers for each instance anew, and takes a buffer of another instance's device for
/// whichever of its own has that number: so nothing of wgpu's own tells whose a buffer is.
#[derive(Debug)]
pub(super) struct Owner {
    device: Held<wgpu::Device>,
}

impl Owner {
    pub(super) fn new(device: Held<wgpu::Device>) -> Owner {
        Owner { device }
    }

    /// Whether both are one device, in one context or in two.
    pub(super) fn is(&self, other: &Owner) -> bool {
        // Devices of two instances may be equal: they have the same number.
        std::ptr::eq(self, other) || (*self.device == *other.device && self.hears(other))
    }

    /// Whether a mistake of the other device's comes out at this one.
    fn hears(&self, other: &Owner) -> bool {
        let theirs = other.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let own = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        mistake(&other.device);
        let (own, theirs) = (own.pop(), theirs.pop());
        let heard = host::wait(async move {
            let heard = own.await.is_some();
            drop(theirs.await);
            heard
        });
        heard.unwrap_or(false)
    }

    /// Whether the device is there: of one that is lost or destroyed wgpu reports no mistake.
    pub(super) fn answers(&self) -> bool {
        self.hears(self)
    }
}

/// Something that every device refuses, and that costs it nothing: a buffer without a use.
fn mistake(device: &wgpu::Device) {
    let _ = device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 4,
        usage: wgpu::BufferUsages::empty(),
        mapped_at_creation: false,
    });
}
