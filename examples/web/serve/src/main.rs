use anyhow::{Context, Result};
use clap::Parser;
use serve::{Server, build};

/// Builds the page out of the crate, and serves it to this machine.
#[derive(Parser)]
struct Args {
    /// The port; 0 for any that is free
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Build it, and leave it in target/page
    #[arg(long)]
    build_only: bool,
    /// Open no browser
    #[arg(long)]
    no_open: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let built = build()?;
    println!("{built}");
    if args.build_only {
        return Ok(());
    }
    let server = Server::start(&built.folder, args.port).with_context(|| {
        format!("port {} of this machine cannot be had (--port takes another)", args.port)
    })?;
    println!("http://{} (Ctrl-C ends it)", server.address());
    if !args.no_open && open::that_detached(format!("http://{}", server.address())).is_err() {
        println!("no browser opens by itself: open that address in one");
    }
    server.wait();
    Ok(())
}
