//! The command where little is to be had: memory, threads, a folder of one's own.

#![cfg(target_os = "linux")]

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::cli::text;

/// Runs the command under a limit of the shell's.
fn limited(limit: &str, binary: &Path, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{limit}; exec \"$0\" \"$@\"")).arg(binary).args(arguments);
    command.current_dir(folder).env_remove("RUST_BACKTRACE");
    command
}

/// Whether it worked; if not, it is to have said why.
fn ended_well(what: &str, output: &Output) -> bool {
    let stderr = text(&output.stderr);
    match output.status.code() {
        Some(0) => true,
        Some(1) if stderr.contains("error: ") && !stderr.contains("panicked") => false,
        code => panic!("{what}: {code:?} {:?}: {stderr}", output.status),
    }
}

/// Commands that need little, and that need much.
const COMMANDS: [&[&str]; 10] = [
    &["sample", "--count", "100000", "--dist", "normal"],
    &["init", "mlp", "--force", "--out", "small.safetensors"],
    &["train", "--data", "digits", "--epochs", "1", "--no-plot"],
    &["train", "--hidden", "4096,4096", "--epochs", "1", "--no-plot"],
    &["probe", "--depth", "4"],
    &["probe", "--depth", "4", "--width", "2048"],
    &["verify", "--values", "65536"],
    &["bench", "--quick", "--only", "truncated_normal"],
    &["init", "mlp", "--force", "--rule", "*.weight=orthogonal", "--out", "whole.safetensors"],
    &["init", "mlp", "--force", "--chunk-size", "64MiB", "--out", "large.safetensors"],
];

/// Those that take long where there is enough of everything.
const LONG: [&[&str]; 2] = [COMMANDS[3], COMMANDS[7]];

fn on_the_cpu<'a>(command: &[&'a str]) -> Vec<&'a str> {
    [command, &["--device", "cpu"]].concat()
}

#[test]
fn memory_that_is_not_there_is_an_error() {
    let binary = Path::new(env!("CARGO_BIN_EXE_fanin"));
    let folder = tempfile::tempdir().unwrap();
    let mut failed = 0;
    for kibibytes in [36_000, 48_000, 64_000, 100_000, 300_000] {
        for command in COMMANDS {
            let limit = format!("ulimit -v {kibibytes}");
            let arguments = on_the_cpu(command);
            let output = limited(&limit, binary, folder.path(), &arguments).output().unwrap();
            failed += u32::from(!ended_well(&format!("{limit}: {arguments:?}"), &output));
        }
        // Whatever GPUs there are: their drivers would crash.
        for command in [&["devices"][..], COMMANDS[0]] {
            let limit = format!("ulimit -v {kibibytes}");
            let output = limited(&limit, binary, folder.path(), command).output().unwrap();
            assert!(ended_well(&format!("{limit}: {command:?}"), &output));
            let told = text(&output.stdout).contains("No adapter: no driver is asked where memory");
            assert!(told || command[0] != "devices", "{output:?}");
        }
    }
    // Wherever it ends, and be it between a thread's stack and what a thread allocates first.
    let arguments = on_the_cpu(COMMANDS[1]);
    for kibibytes in (24_000..44_000).step_by(40) {
        let limit = format!("ulimit -v {kibibytes}");
        let output = limited(&limit, binary, folder.path(), &arguments).output().unwrap();
        failed += u32::from(!ended_well(&format!("{limit}: {arguments:?}"), &output));
    }
    assert!(failed > 0, "there was memory for everything");
    let output =
        limited("ulimit -v 300000", binary, folder.path(), &["sample", "--device", "gpu"]).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("where memory is limited to"), "{output:?}");
}

#[test]
fn threads_that_cannot_be_started_are_no_panic() {
    let binary = Path::new(env!("CARGO_BIN_EXE_fanin"));
    let short = || COMMANDS.iter().filter(|command| !LONG.contains(command));
    // No machine has room for stacks of this size.
    for command in short() {
        let out = tempfile::tempdir().unwrap();
        let arguments = on_the_cpu(command);
        let mut command = limited("true", binary, out.path(), &arguments);
        let output = command.env("RUST_MIN_STACK", (1u64 << 46).to_string()).output().unwrap();
        ended_well(&format!("no threads: {arguments:?}"), &output);
    }

    let Some(user) = User::new(61_234) else { return };
    for threads in [1, 2, 3, 6] {
        for command in short() {
            let out = user.folder();
            let arguments = on_the_cpu(command);
            let output = user.limited(threads, out.path(), &arguments).output().unwrap();
            ended_well(&format!("{threads} threads: {arguments:?}"), &output);
        }
    }
}

/// Who is held to a limit of threads, as root is not.
struct User {
    /// None for who runs the tests.
    id: Option<u32>,
    /// A copy of the command, since a folder of root's may not be another's to read.
    copy: tempfile::TempDir,
}

impl User {
    /// Whoever runs the tests, or for root another; none where the root of all files is root's alone,
    /// in which no other user runs anything.
    fn new(id: u32) -> Option<User> {
        let id = rustix::process::geteuid().is_root().then_some(id);
        let user = User { id, copy: tempfile::tempdir().unwrap() };
        user.open(user.copy.path());
        std::fs::copy(env!("CARGO_BIN_EXE_fanin"), user.copy.path().join("fanin")).unwrap();
        let mut shell = Command::new("sh");
        user.own(shell.args(["-c", "exit 0"]).current_dir(user.copy.path()));
        shell.status().is_ok().then_some(user)
    }

    fn own(&self, command: &mut Command) {
        if let Some(id) = self.id {
            command.uid(id).gid(id);
        }
    }

    fn open(&self, folder: &Path) {
        let all = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(folder, all).unwrap();
    }

    /// A folder that the user may write to.
    fn folder(&self) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        self.open(folder.path());
        folder
    }

    /// The command with so many threads.
    fn limited(&self, threads: u32, folder: &Path, arguments: &[&str]) -> Command {
        // dash's name of it is another than bash's.
        let limit = format!("ulimit -u {threads} 2>/dev/null || ulimit -p {threads}");
        let mut command = limited(&limit, &self.copy.path().join("fanin"), folder, arguments);
        self.own(&mut command);
        command
    }
}

#[test]
fn drivers_without_threads_are_not_waited_for() {
    let Some(user) = User::new(61_235) else { return };
    let folder = user.folder();
    let bench = ["bench", "--quick", "--only", "uniform", "--device", "gpu"];
    for threads in [1, 3, 6, 8, 10, 11] {
        for arguments in [&bench[..], &["devices"], &["sample", "--device", "gpu"]] {
            let mut command = user.limited(threads, folder.path(), arguments);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let end = Instant::now() + Duration::from_secs(60);
            while child.try_wait().unwrap().is_none() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = child.kill();
            let output = child.wait_with_output().unwrap();
            let what = format!("{threads} threads: {arguments:?}: {output:?}");
            let said = text(&[&output.stdout[..], &output.stderr].concat());
            // Wherever lines end.
            let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
            match output.status.code() {
                // With none to spare the command itself ends.
                Some(1) if said.contains("error: ") && (threads == 1 || user.id.is_none()) => {}
                Some(0) if arguments == ["devices"] => assert!(said.contains(TOO_FEW), "{what}"),
                Some(2) => assert!(said.contains(TOO_FEW), "{what}"),
                _ => panic!("{what}"),
            }
        }
    }
}

const TOO_FEW: &str = "more threads can be started (ulimit -u)";

/// EGL connects to `wayland-0` in XDG_RUNTIME_DIR: in a folder that others can write, anyone may have
/// put one there.
#[test]
fn nobody_elses_socket_is_connected_to() {
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join("wayland-0")).unwrap();
    listener.set_nonblocking(true).unwrap();
    let open = std::fs::Permissions::from_mode(0o1777);
    std::fs::set_permissions(folder.path(), open).unwrap();
    for given in [None, Some(folder.path())] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fanin"));
        command.arg("devices").env("TMPDIR", folder.path()).env_remove("WAYLAND_DISPLAY");
        match given {
            None => command.env_remove("XDG_RUNTIME_DIR"),
            Some(folder) => command.env("XDG_RUNTIME_DIR", folder),
        };
        let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
        // A peer that never answers would keep it for ever.
        let status = loop {
            let connected = listener.accept();
            assert!(
                connected.is_err_and(|error| error.kind() == ErrorKind::WouldBlock),
                "connected, with XDG_RUNTIME_DIR {given:?}"
            );
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        };
        assert!(status.success());
    }
}
