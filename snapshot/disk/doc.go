// Package disk keeps the files of snapshots in a folder of this machine, one file
// each: draft, sync, rename, sync of the folder.
//
// Reads and writes its folder, which one process has at a time: whoever opens it
// sees to that. Must never import what snapshots are of.
package disk
