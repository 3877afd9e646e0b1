// Package crashtest plays an engine's script on a disk in memory that loses
// power, fails, tears and rots, and lets the engine's test check what is left.
// journal/disk and store/disk share it. It reads and writes memory alone, and must never
// import an engine. Imported by test files only.
package crashtest
