// Tar archives, as Docker sends and takes the files of a container.

export interface ArchivedFile {
  /** Without its folder. */
  name: string;
  /** Permissions as in chmod. */
  mode: number;
  uid: number;
  gid: number;
  content: Buffer;
}

/** Files of a tar archive: each has a header of 512 bytes, and its content fills blocks of as many. */
export function filesIn(archive: Buffer): ArchivedFile[] {
  const files: ArchivedFile[] = [];
  for (let at = 0; at + 512 <= archive.length && archive[at] !== 0;) {
    const text = (from: number, to: number) => archive.toString("utf8", at + from, at + to).replace(/\0[^]*/, "");
    const octal = (from: number, to: number) => parseInt(text(from, to).trim() || "0", 8);
    const [size, begin] = [octal(124, 136), at + 512];
    // "0" is a file; other types are folders, links and notes on the next entry.
    if (["0", ""].includes(text(156, 157)))
      files.push({
        name: text(0, 100).replace(/.*\//, ""),
        mode: octal(100, 108) & 0o7777,
        ...{ uid: octal(108, 116), gid: octal(116, 124) },
        content: archive.subarray(begin, begin + size),
      });
    at = begin + Math.ceil(size / 512) * 512;
  }
  return files;
}

/** A tar archive of one file of root's that all may read, in the format of POSIX. */
export function archiveOf(file: string, content: Buffer): Buffer {
  const header = Buffer.alloc(512);
  const write = (text: string, at: number) => header.write(text, at, "ascii");
  const octal = (value: number, at: number, digits: number) => write(value.toString(8).padStart(digits, "0"), at);
  write(file, 0);
  octal(0o644, 100, 7);
  for (const at of [108, 116]) octal(0, at, 7);
  octal(content.length, 124, 11);
  octal(Math.floor(Date.now() / 1000), 136, 11);
  write("0", 156);
  write("ustar\u000000", 257);
  // The sum is made as if its own place had blanks.
  write(" ".repeat(8), 148);
  octal(
    header.reduce((sum, byte) => sum + byte, 0),
    148,
    6,
  );
  header.writeUInt8(0, 154);
  return Buffer.concat([header, content, Buffer.alloc(1024 + ((512 - (content.length % 512)) % 512))]);
}
