//! `emote dev`, and the guard of its nats-server.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::{Exit, print_line, render, watch};
use crate::{
    bus::Bus,
    config::{Folder, Set},
    identity::files,
    localnats::{self, LocalNats, Secure},
    ops::Taken,
    run,
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Everything listens on this machine only and ends with this command, or when the program that started it ends.
What was stored stays in the data folder (emote.yaml: data); the next start goes on from there.
Whenever a file of the folder is saved it is checked, its tests are played, and it is put in force. Where something is
wrong the rules that were in force stay, and what is wrong is said. emote.yaml is read at the start only.")]
pub(super) struct Args {
    /// The configuration folder
    #[arg(default_value_os_t = super::folder::begun())]
    folder: PathBuf,
    /// Port of NATS; 0 takes any [default: 4222, or any where that is taken]
    #[arg(long, value_name = "PORT")]
    nats_port: Option<u16>,
    /// Address of the webhooks, instead of what emote.yaml says
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Go on when the program that started this one ends
    #[arg(long)]
    stay: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct GuardArgs {
    server: PathBuf,
    config: PathBuf,
    pid_file: PathBuf,
    log: PathBuf,
}

pub(super) async fn guard(args: GuardArgs) -> anyhow::Result<Exit> {
    let code = localnats::guard(&args.server, &args.config, &args.pid_file, &args.log).await.context("nats-server")?;
    Ok(if code == 0 { Exit::Ok } else { Exit::Failed })
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    run::log_to_stderr("warn");
    run::no_core_dumps();
    let mut folder = Folder::load(&args.folder)?;
    if let Some(listen) = args.listen {
        folder.settings.ingest.address = listen;
    }
    run::tell_what_waits(&folder);
    let set = Set::read(&args.folder)?;
    let data = args.folder.join(&folder.settings.data);
    run::private_folder(&data)?;
    let data = data.canonicalize().with_context(|| format!("the data folder {}", data.display()))?;
    let _lock = run::lock(&data)?;
    let shutdown = run::shutdown_on_signal((!args.stay).then_some(run::parent))?;
    let secure = Secure::find(&args.folder, folder.settings.nats.credentials.as_deref())?;
    let mut nats = LocalNats::start(&data, args.nats_port, secure).await?;
    let options = options(&args, &folder, &nats);
    folder.settings.nats.servers = vec![nats.url.clone()];
    let ended = serve(&args, (&folder, &options), set, &data, &mut nats, &shutdown).await;
    nats.stop().await;
    ended
}

async fn serve(
    args: &Args,
    (folder, options): (&Folder, &Options),
    set: Set,
    data: &Path,
    nats: &mut LocalNats,
    shutdown: &tokio_util::sync::CancellationToken,
) -> anyhow::Result<Exit> {
    let bus = Bus::connect(&nats.settings("emote dev")).await?;
    let admin = Bus::connect(&nats.admin_settings("emote dev, what is saved")).await?;
    let ended = async {
        folder.may_run_where(bus.takes_anyone())?;
        let start = run::Start {
            root: args.folder.clone(),
            settings: folder.settings.clone(),
            first: Some(set.clone()),
            data: data.to_owned(),
            taken: Taken::AnyPort,
        };
        let ops = run::ops(&folder.settings, &args.folder, Taken::AnyPort, shutdown)?;
        let running = run::start_watched(bus.clone(), start, ops, shutdown).await?;
        print_line(welcome(args, (folder, options), nats, &running))?;
        let stopped = shutdown.clone();
        let watching = watch::apply_what_is_saved(&admin, &args.folder, set);
        tokio::select! {
            never = watching => match never {},
            ended = running.wait() => ended,
            () = nats.ended(), if !stopped.is_cancelled() => anyhow::bail!("nats-server ended by itself; its log: {}", data.join("nats.log").display()),
        }
    }
    .await;
    // The server ends next: nobody is to wonder where it is.
    tokio::join!(bus.close(), admin.close());
    ended
}

/// What other commands have to be told to find this NATS.
struct Options {
    emote: String,
    nats: String,
}

fn options(args: &Args, folder: &Folder, nats: &LocalNats) -> Options {
    let (root, url) = (args.folder.display(), &nats.url);
    let port = url.rsplit(':').next().unwrap_or_default();
    if !nats.is_secure() {
        let server = if port == "4222" { String::new() } else { format!(" --server {url}") };
        return Options { emote: server.clone(), nats: server };
    }
    let here = [format!("tls://localhost:{port}"), url.clone()];
    let known = folder.settings.nats.servers.iter().any(|server| here.contains(server));
    let server = if known { String::new() } else { format!(" --server {url}") };
    let config = if args.folder == Path::new(".") { String::new() } else { format!(" --config {root}") };
    let nats =
        format!(" --server {url} --creds {root}/{admin} --tlsca {root}/{ca}", admin = files::ADMIN, ca = files::CA);
    Options { emote: format!("{server}{config}"), nats }
}

fn welcome(args: &Args, (folder, options): (&Folder, &Options), nats: &LocalNats, running: &run::Running) -> String {
    use std::fmt::Write as _;
    let webhooks = running.webhooks();
    let (bold, dim) = (render::BOLD, render::DIM);
    let Options { emote, nats: of_nats } = options;
    let mut text = format!(
        "{bold}emote dev{bold:#} with {}: {} rules, {} targets\n\n",
        args.folder.display(),
        folder.rules.len(),
        folder.targets.len()
    );
    let _ = writeln!(text, "  NATS      {} {dim}(nats-server {}){dim:#}", nats.url, nats.version);
    for (name, spec) in &folder.sources {
        let ways = spec.validate(name).map(|plan| plan.ways()).unwrap_or_default();
        for (kind, place) in ways {
            let _ = match kind {
                "webhook" => writeln!(text, "  webhook   {webhooks}{place}"),
                _ => writeln!(text, "  {kind:<9} {place} {dim}({name}){dim:#}"),
            };
        }
    }
    if let Some(ops) = running.ops() {
        let scheme =
            if folder.settings.ops.as_ref().is_some_and(|ops| ops.certificate.is_some()) { "https" } else { "http" };
        let _ = writeln!(text, "  health    {scheme}://{ops}/readyz {dim}and /healthz, /metrics{dim:#}");
    }
    if let Some(console) = running.console() {
        let token = console.token_file.as_ref();
        let token = token.map(|file| format!(" {dim}(the token to sign in with is in {}){dim:#}", file.display()));
        let _ = writeln!(text, "  console   {}{}", console.url, token.unwrap_or_default());
    }
    let _ = writeln!(text, "\nTry in another terminal:");
    let _ = writeln!(text, "  emote events -f{emote}");
    let _ = writeln!(
        text,
        "  nats{of_nats} pub events.manual.C02XL0GTJGH5.device.enroll '{{\"scope\":\"device\",\"action\":\"enroll\",\"communicate\":true,\"log\":true}}'"
    );
    let _ = writeln!(text, "  emote node C02XL0GTJGH5{emote}");
    let _ = write!(text, "\n{dim}Ctrl-C stops all of it.{dim:#}");
    text
}
