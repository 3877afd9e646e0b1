package folder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Purge takes what was deleted or overwritten before the call off the disk: out
// of tables, and out of logs that wait to be used again. It rewrites the whole
// database, beside whoever uses it, and may be repeated when it failed.
func (f *Folder) Purge(ctx context.Context) error {
	err := f.purge(ctx)
	if err != nil {
		return fmt.Errorf("purging folder %s: %w", f.dir, f.Explain(err))
	}
	return nil
}

func (f *Folder) purge(ctx context.Context) error {
	f.guard.useAfresh(true)
	defer f.guard.useAfresh(false)
	logs, err := f.logs()
	if err != nil {
		return err
	}
	if err := f.DB.Flush(); err != nil { // from here on none of these logs is needed
		return err
	}
	first, last, err := f.bounds()
	if err != nil {
		return err
	}
	if last != nil {
		if err := f.DB.Compact(ctx, first, append(last, 0), true); err != nil {
			return err
		}
	}
	for m := f.DB.Metrics(); m.Table.ObsoleteCount+m.Table.ZombieCount > 0; m = f.DB.Metrics() { // Pebble removes them soon
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for _, name := range logs {
		if err := f.guard.blank(f.c.FS.PathJoin(f.dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// logs are the names of the write-ahead logs.
func (f *Folder) logs() (logs []string, err error) {
	names, err := f.c.FS.List(f.dir)
	for _, name := range names {
		if strings.HasSuffix(name, ".log") {
			logs = append(logs, name)
		}
	}
	return logs, err
}

// bounds are the first and the last key; nil when there is none.
func (f *Folder) bounds() (first, last []byte, err error) {
	rows, err := f.DB.NewIter(&pebble.IterOptions{})
	if err != nil {
		return nil, nil, err
	}
	if rows.First() {
		first = append(first, rows.Key()...)
	}
	if rows.Last() {
		last = append(last, rows.Key()...)
	}
	if err = rows.Error(); err != nil {
		rows.Close()
		return nil, nil, err
	}
	return first, last, rows.Close()
}

func (g *guard) useAfresh(yes bool) {
	g.reusing.Lock()
	defer g.reusing.Unlock()
	g.afresh = yes
}

// blank fills a log with zeros that nothing needs any more, if it is still there.
func (g *guard) blank(name string) error {
	g.reusing.Lock()
	defer g.reusing.Unlock()
	if err := g.forget(name); err != nil {
		return err
	}
	file, err := g.FS.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil {
		_, err = io.CopyN(file, zeros{}, info.Size())
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// zeros is what a blanked log holds.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
