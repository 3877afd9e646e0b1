package crashtest

import (
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Files puts a failpoint before and after each step that makes a snapshot
// file, writes some of it, names it or removes it.
func Files(fs vfs.FS) vfs.FS { return &filePoints{fs, Process} }

type filePoints struct {
	vfs.FS
	points *Points
}

func (f *filePoints) Create(name string, category vfs.DiskWriteCategory) (file vfs.File, err error) {
	err = f.points.around("files: create ", []string{fileOf(name)}, func() error {
		file, err = f.FS.Create(name, category)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &filePoint{file, f.points, fileOf(name)}, nil
}

func (f *filePoints) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &filePoint{file, f.points, "folder"}, nil
}

func (f *filePoints) Rename(from, to string) error {
	return f.points.around("files: rename ", []string{fileOf(from)}, func() error { return f.FS.Rename(from, to) })
}

func (f *filePoints) Remove(name string) error {
	return f.points.around("files: remove ", []string{fileOf(name)}, func() error { return f.FS.Remove(name) })
}

// filePoint is an open file, or a folder opened to make its names durable.
type filePoint struct {
	vfs.File
	points *Points
	what   string
}

func (f *filePoint) Write(b []byte) (n int, err error) {
	err = f.points.around("files: write ", []string{f.what}, func() error {
		n, err = f.File.Write(b)
		return err
	})
	return n, err
}

func (f *filePoint) Sync() error {
	return f.points.around("files: sync ", []string{f.what}, f.File.Sync)
}

func fileOf(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }
