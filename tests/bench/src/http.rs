//! As much of an HTTP/1.1 server as the Runtime API and the AWS endpoints of the benchmark take: plain TCP on this machine,
//! one thread for each connection, which stays open.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Instant;

/// A request that came in.
pub(crate) struct Request {
    /// When its head had been read.
    pub(crate) at: Instant,
    pub(crate) method: String,
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// A header's value; names are compared in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// An answer.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// This JSON text, with status 200.
    pub(crate) fn json(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, headers: vec![("content-type", "application/x-amz-json-1.0".to_owned())], body: body.into() }
    }
}

/// Serves on a free port of 127.0.0.1 until the process ends. `None` closes the connection without an answer.
pub(crate) fn serve(handle: impl Fn(Request) -> Option<Response> + Send + Sync + 'static) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let handle = Arc::new(handle);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let handle = handle.clone();
            // A connection that breaks off is the end of its process.
            std::thread::spawn(move || converse(&stream, &*handle).ok());
        }
    });
    Ok(address)
}

fn converse(stream: &TcpStream, handle: &(impl Fn(Request) -> Option<Response> + ?Sized)) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(64 * 1_024, stream);
    let mut writer = stream;
    while let Some(request) = read(&mut reader)? {
        let Some(response) = handle(request) else { break };
        let mut out = format!("HTTP/1.1 {} -\r\ncontent-length: {}\r\n", response.status, response.body.len());
        for (name, value) in response.headers {
            out += &format!("{name}: {value}\r\n");
        }
        out += "\r\n";
        let mut bytes = out.into_bytes();
        bytes.extend(response.body);
        writer.write_all(&bytes)?;
    }
    Ok(())
}

/// Reads a request; nothing at the connection's end.
fn read(reader: &mut impl BufRead) -> std::io::Result<Option<Request>> {
    let first = line(reader)?;
    let mut words = first.split(' ');
    let (Some(method), Some(path)) = (words.next().filter(|word| !word.is_empty()), words.next()) else { return Ok(None) };
    let (method, path) = (method.to_owned(), path.to_owned());
    let mut headers = Vec::new();
    loop {
        let header = line(reader)?;
        if header.is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':') {
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    let mut request = Request { at: Instant::now(), method, path, headers, body: Vec::new() };
    if request.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        loop {
            let size =
                usize::from_str_radix(line(reader)?.split(';').next().unwrap_or_default().trim(), 16).map_err(std::io::Error::other)?;
            let begin = request.body.len();
            request.body.resize(begin + size, 0);
            reader.read_exact(&mut request.body[begin..])?;
            line(reader)?;
            if size == 0 {
                break;
            }
        }
    } else {
        let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        request.body.resize(length, 0);
        reader.read_exact(&mut request.body)?;
    }
    Ok(Some(request))
}

fn line(reader: &mut impl BufRead) -> std::io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    line.truncate(line.trim_end().len());
    Ok(line)
}
