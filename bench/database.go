package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// database is a session with a peer: a program that reads SQL and writes what
// it answers, a line a row. scripts/bench-audience makes the programs.
type database struct {
	dialect dialect
	dir     string
	program *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	says    strings.Builder // on standard error
	version string
	loaded  time.Duration
}

var databaseFiles = [dialects]string{"postgres", "duckdb", "sqlite"}

// openDatabase starts the session of a folder of programs.
func openDatabase(dir string, d dialect) (*database, error) {
	b := &database{dialect: d, dir: dir, program: exec.Command(filepath.Join(dir, databaseFiles[d]))}
	b.program.Dir, b.program.Stderr = dir, &b.says
	b.program.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	if b.in, err = b.program.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := b.program.StdoutPipe()
	if err != nil {
		return nil, err
	}
	b.out = bufio.NewReader(out)
	return b, b.program.Start()
}

// close ends the session, which reads the end of its input.
func (b *database) close() error {
	err := b.in.Close()
	io.Copy(io.Discard, b.out)
	return errors.Join(err, b.program.Wait())
}

// stop kills a session in mid-answer when ctx ends first.
func (b *database) stopping(ctx context.Context) (end func() bool) {
	return context.AfterFunc(ctx, func() { syscall.Kill(-b.program.Process.Pid, syscall.SIGKILL) })
}

// ask returns the one row that a query answers.
func (b *database) ask(ctx context.Context, sql string) (string, error) {
	defer b.stopping(ctx)()
	if _, err := io.WriteString(b.in, sql+";\n"); err != nil {
		return "", b.failure(err)
	}
	row, err := b.out.ReadString('\n')
	if err != nil {
		return "", b.failure(err)
	}
	return strings.TrimSpace(row), nil
}

// run makes statements, one after the other, and waits for the last.
func (b *database) run(ctx context.Context, statements ...string) error {
	const done = "all of it is done"
	defer b.stopping(ctx)()
	for _, s := range statements {
		if !strings.HasPrefix(s, ".") && !strings.HasPrefix(s, `\`) { // a command of the program, not SQL
			s += ";"
		}
		if _, err := io.WriteString(b.in, s+"\nSELECT '"+done+"';\n"); err != nil {
			return b.failure(err)
		}
		for {
			row, err := b.out.ReadString('\n')
			if err != nil {
				return b.failure(fmt.Errorf("%.200s: %w", s, err))
			}
			if strings.TrimSpace(row) == done {
				break
			}
		}
		if b.says.Len() > 0 {
			return b.failure(fmt.Errorf("%.200s", s))
		}
	}
	return nil
}

func (b *database) failure(err error) error {
	return fmt.Errorf("%s: %w: %.500s", dialectNames[b.dialect], err, b.says.String())
}

// count asks for the people that a clause holds for.
func (b *database) count(ctx context.Context, c clause) (n int64, err error) {
	row, err := b.ask(ctx, "SELECT count(*) FROM people WHERE "+c.sql(b.dialect))
	if err == nil {
		if _, err = fmt.Sscan(row, &n); err != nil {
			err = b.failure(fmt.Errorf("answer %q: %w", row, err))
		}
	}
	return n, err
}

var tableFiles = [...]string{"people.tsv", "tagged.tsv", "deeds.tsv"}

// writeTables writes the people of a crowd as the peers load them: people.tsv
// with their tags in a column for each set, tagged.tsv with a row for each tag, and
// deeds.tsv with one for each event.
func (c *crowd) writeTables(dir string) (err error) {
	var files [len(tableFiles)]*os.File
	var out [len(tableFiles)]*bufio.Writer
	for i, name := range tableFiles {
		if files[i], err = os.Create(filepath.Join(dir, name)); err != nil {
			return err
		}
		defer files[i].Close()
		out[i] = bufio.NewWriterSize(files[i], 1<<20)
	}
	var p person
	var did []deed
	for n := range c.size {
		c.at(n, &p)
		if _, err := out[0].Write(p.appendRow(out[0].AvailableBuffer())); err != nil {
			return err
		}
		if _, err := out[1].Write(p.appendTagged(out[1].AvailableBuffer())); err != nil {
			return err
		}
		did = c.deeds(n, &p, did[:0])
		for i := range did {
			if _, err := out[2].Write(did[i].appendRow(out[2].AvailableBuffer(), &p)); err != nil {
				return err
			}
		}
	}
	return errors.Join(out[0].Flush(), out[1].Flush(), out[2].Flush())
}
