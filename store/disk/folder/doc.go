// Package folder is one Pebble database in one folder of a disk: what
// journal/disk and store/disk have in common.
//
// One process at a time: the folder is locked. A failed write or sync of the
// write-ahead log ends the process (Config.Stop), because nobody can say what
// a disk holds after that; the next start reads what was synced.
//
// Pebble checks the blocks of its tables, but takes damage near the end of its
// logs for a torn write, and a damaged manifest for a shorter one. So the file
// SYNCED remembers for every log (*.log, MANIFEST-*, OPTIONS-*) how many bytes
// were synced and their checksum; Open compares them before Pebble sees the
// folder, and changes nothing when they differ.
//
// A damaged byte of SYNCED itself is not refused as such: its other half counts
// then, which was true a few commits earlier; if the logs have changed since,
// the start is refused. A log that is kept only to be used again is checked too.
//
// Beside the data, up to four logs of about Config.Memory bytes each stay on the
// disk. Trimmed or deleted data leaves it within a minute or so of quiet, when
// Pebble has compacted the tables that held it.
//
// What cannot be told apart: SYNCED is written after every sync, but is itself
// synced at every 64th only. So after a kill of the process every acknowledged
// byte is covered. After a power loss up to 63 of the last commits may not be;
// if in addition the disk damaged those very bytes, and no later record of the
// log shows that they were synced, that looks like a write which the power loss
// tore, and the commits from there on are gone without a message. A copy of the
// whole folder from an earlier day is a good folder: it cannot be told from
// the right one.
//
// Reads and writes one folder. Must never import journal or store.
package folder
