//! The Lambda Runtime API for one process at a time: what the process asks for comes out of a channel, with the moment at
//! which it was asked, and waits until the benchmark answers.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::http::{Request, Response, serve};

/// How long a process may take to its next request.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request and where its answer goes.
type Asked = (Request, Sender<Response>);

/// A function's process. It is killed when this is dropped.
pub(crate) struct Function {
    child: Child,
    spawned: Instant,
    asked: Receiver<Asked>,
    /// The request for the next invocation that waits for its answer.
    next: Option<Sender<Response>>,
    invocations: u64,
}

impl Function {
    /// Spawns a function with nothing in its environment but this and what Lambda sets.
    pub(crate) fn spawn(binary: &Path, name: &str, environment: &[(String, String)], output: bool) -> anyhow::Result<Self> {
        let (send, asked) = channel::<Asked>();
        let address = serve(move |request| {
            let (answer, answered) = channel();
            send.send((request, answer)).ok()?;
            answered.recv().ok()
        })?;
        let mut command = Command::new(binary);
        command
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", name)
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}"))
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "bench")
            .envs(environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(if output { Stdio::inherit() } else { Stdio::null() });
        let spawned = Instant::now();
        let child = command.spawn().with_context(|| format!("cannot run {}; build the functions first", binary.display()))?;
        Ok(Self { child, spawned, asked, next: None, invocations: 0 })
    }

    /// Waits until it asks for its first invocation: how long that took from before it was spawned.
    pub(crate) fn ready(&mut self) -> anyhow::Result<Duration> {
        let (request, answer) = self.asked.recv_timeout(PATIENCE).context("the function did not ask for an invocation")?;
        if request.method != "GET" || !request.path.ends_with("/runtime/invocation/next") {
            bail!("the function failed to start: {} {}", request.path, String::from_utf8_lossy(&request.body));
        }
        self.next = Some(answer);
        Ok(request.at.duration_since(self.spawned))
    }

    /// Has it handle an event: how long that took from the event's being sent to its answer's having come in, and the
    /// answer.
    pub(crate) fn invoke(&mut self, event: &[u8]) -> anyhow::Result<(Duration, Vec<u8>)> {
        let next = self.next.take().context("the function is not ready")?;
        self.invocations += 1;
        let id = format!("invocation-{}", self.invocations);
        let headers = vec![
            ("content-type", "application/json".to_owned()),
            ("lambda-runtime-aws-request-id", id.clone()),
            ("lambda-runtime-deadline-ms", "4102444800000".to_owned()),
            ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:bench".to_owned()),
            ("lambda-runtime-trace-id", "Root=1-00000000-000000000000000000000000".to_owned()),
        ];
        let sent = Instant::now();
        next.send(Response { status: 200, headers, body: event.to_vec() }).ok();
        let (request, answer) = self.asked.recv_timeout(PATIENCE).context("the function did not answer")?;
        let took = request.at.duration_since(sent);
        let text = String::from_utf8_lossy(&request.body);
        if !request.path.ends_with(&format!("/runtime/invocation/{id}/response")) {
            bail!("the function failed: {} {text}", request.path);
        }
        answer.send(Response { status: 202, headers: Vec::new(), body: Vec::new() }).ok();
        self.ready()?;
        Ok((took, request.body))
    }

    /// The processor time that its threads have had so far.
    pub(crate) fn processor_time(&self) -> anyhow::Result<Duration> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id()))?;
        let nanoseconds = threads.map(|thread| {
            let statistics = std::fs::read_to_string(thread?.path().join("schedstat"))?;
            let time = statistics.split(' ').next().and_then(|time| time.parse::<u64>().ok());
            time.context("the kernel does not tell a thread's time")
        });
        Ok(Duration::from_nanos(nanoseconds.sum::<anyhow::Result<u64>>()?))
    }

    /// The most memory that it has had resident so far, in bytes.
    pub(crate) fn peak_memory(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        Ok(peak.context("the kernel does not tell VmHWM")? * 1_024)
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
