//! Programs that do nothing, small, with all that a signer and a verifier look at.

use emote_agent::VERSION_MARK;

/// CPU type and subtype; that of x86_64 says "64-bit libraries" too, as linkers write it.
pub(crate) const ARM64: (u32, u32) = (0x0100_000c, 0);
pub(crate) const X86_64: (u32, u32) = (0x0100_0007, 0x8000_0003);

const PAGE: u32 = 0x4000;
const BASE: u64 = 0x1_0000_0000;
/// Where the code begins: commands have room before it.
const CODE: u32 = PAGE - 256;
const LINKEDIT: u32 = 64;

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn longs(longs: &[u64]) -> Vec<u8> {
    longs.iter().flat_map(|long| long.to_le_bytes()).collect()
}

fn length(bytes: &[u8]) -> u32 {
    bytes.len().try_into().unwrap()
}

fn name(name: &str) -> [u8; 16] {
    let mut field = [0; 16];
    field[..name.len()].copy_from_slice(name.as_bytes());
    field
}

/// Virtual and file places, protection, a section.
fn segment(of: &str, at: [u64; 4], protection: u32, section: &[u8]) -> Vec<u8> {
    let sections = u32::from(!section.is_empty());
    let tail = words(&[protection, protection, sections, 0]);
    [&words(&[0x19, 72 + length(section)]), &name(of)[..], &longs(&at), &tail, section].concat()
}

/// A program for a CPU that asks for a macOS (0x000d0000 is 13.0) and says that it is a version, or nothing.
pub(crate) fn program(cpu: (u32, u32), minimum_os: u32, version: Option<&str>) -> Vec<u8> {
    let [page, code, linkedit] = [PAGE, CODE, LINKEDIT].map(u64::from);
    let place = [longs(&[BASE + code, 16]), words(&[CODE, 4, 0, 0, 0x8000_0400, 0, 0, 0])].concat();
    let text = [&name("__text")[..], &name("__TEXT"), &place].concat();
    let commands = [
        segment("__PAGEZERO", [0, BASE, 0, 0], 0, &[]),
        segment("__TEXT", [BASE, page, 0, page], 5, &text),
        segment("__LINKEDIT", [BASE + page, page, page, linkedit], 1, &[]),
        words(&[0x32, 24, 1, minimum_os, 0x000f_0000, 0]),
        [words(&[0x8000_0028, 24]), longs(&[code, 0])].concat(),
    ];
    let (number, all) = (u32::try_from(commands.len()).unwrap(), commands.concat());
    let header = words(&[0xfeed_facf, cpu.0, cpu.1, 2, number, length(&all), 0x0020_0085, 0]);
    let mut file = [header, all].concat();
    file.resize(usize::try_from(CODE).unwrap(), 0);
    file.extend((0..=250).cycle().take(usize::try_from(PAGE - CODE + LINKEDIT).unwrap()));
    let mark = version.map(|version| format!("{VERSION_MARK}{version}\0")).unwrap_or_default();
    let behind_the_code = usize::try_from(CODE + 16).unwrap();
    file[behind_the_code..behind_the_code + mark.len()].copy_from_slice(mark.as_bytes());
    file
}
