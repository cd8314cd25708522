//! Writes an archive, unsigned.

use std::collections::BTreeSet;
use std::io::Write as _;

use data_encoding::HEXLOWER;
use flate2::{Compression, write::ZlibEncoder};
use quick_xml::escape::escape;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::{HEADER, MAGIC};

/// An archive of files by their paths, all of `time`: those in no folder first, then folder by folder. What is before a `/`
/// becomes a folder.
pub fn write(files: &[(&str, &[u8])], time: jiff::Timestamp) -> std::io::Result<Vec<u8>> {
    let mut contents = Contents { time, xml: String::new(), id: 0, at: sha1(&[]).len(), heap: Vec::new() };
    for (name, data) in files.iter().filter(|(path, _)| !path.contains('/')) {
        contents.file(name, data);
    }
    let inside: Vec<_> = files.iter().filter_map(|(path, data)| Some((path.rsplit_once('/')?, *data))).collect();
    let folders: BTreeSet<&str> = inside.iter().map(|((folder, _), _)| *folder).collect();
    for folder in folders {
        contents.open(folder, "directory");
        for ((_, name), data) in inside.iter().filter(|((of, _), _)| *of == folder) {
            contents.file(name, data);
        }
        contents.xml.push_str("  </file>\n");
    }
    contents.archive()
}

/// The table and the heap, as they grow.
struct Contents<'a> {
    time: jiff::Timestamp,
    xml: String,
    id: usize,
    /// Where in the heap the next file comes.
    at: usize,
    heap: Vec<&'a [u8]>,
}

impl<'a> Contents<'a> {
    fn open(&mut self, name: &str, kind: &str) {
        self.id += 1;
        let mode = if kind == "directory" { "0755" } else { "0644" };
        let (id, name, time) = (self.id, escape(name), self.time);
        self.xml.push_str(&format!(
            "  <file id=\"{id}\">\n   <name>{name}</name>\n   <type>{kind}</type>\n   <mode>{mode}</mode>\n   <uid>0</uid>\n   \
             <gid>0</gid>\n   <mtime>{time}</mtime>\n"
        ));
    }

    fn file(&mut self, name: &str, data: &'a [u8]) {
        self.open(name, "file");
        let (length, at, sum) = (data.len(), self.at, HEXLOWER.encode(&sha1(data)));
        self.xml.push_str(&format!(
            "   <data>\n    <length>{length}</length>\n    <offset>{at}</offset>\n    <size>{length}</size>\n    \
             <encoding style=\"application/octet-stream\"/>\n    <extracted-checksum style=\"sha1\">{sum}</extracted-checksum>\n    \
             <archived-checksum style=\"sha1\">{sum}</archived-checksum>\n   </data>\n  </file>\n"
        ));
        self.at += length;
        self.heap.push(data);
    }

    fn archive(&self) -> std::io::Result<Vec<u8>> {
        let toc = self.table();
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(toc.as_bytes())?;
        let compressed = encoder.finish()?;
        let mut archive = MAGIC.to_vec();
        archive.extend(HEADER.to_be_bytes());
        archive.extend(1_u16.to_be_bytes());
        archive.extend((compressed.len() as u64).to_be_bytes());
        archive.extend((toc.len() as u64).to_be_bytes());
        archive.extend(1_u32.to_be_bytes());
        archive.extend_from_slice(&compressed);
        archive.extend(sha1(&compressed));
        archive.extend(self.heap.concat());
        Ok(archive)
    }

    fn table(&self) -> String {
        let (time, files) = (self.time.strftime("%Y-%m-%dT%H:%M:%S"), &self.xml);
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<xar>\n <toc>\n  <creation-time>{time}</creation-time>\n  \
             <checksum style=\"sha1\">\n   <offset>0</offset>\n   <size>20</size>\n  </checksum>\n{files} </toc>\n</xar>\n"
        )
    }
}

fn sha1(data: &[u8]) -> Vec<u8> {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, data).as_ref().to_vec()
}
