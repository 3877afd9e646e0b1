package index

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Encoder writes numbers and byte strings of a snapshot. The first error stays
// and is returned by Flush.
type Encoder struct {
	out     *bufio.Writer
	scratch []byte
	err     error
}

// NewEncoder writes to w.
func NewEncoder(w io.Writer) *Encoder { return &Encoder{out: bufio.NewWriterSize(w, 64<<10)} }

// Flush writes what is buffered and returns the first error of all.
func (e *Encoder) Flush() error {
	if e.err == nil {
		e.err = e.out.Flush()
	}
	return e.err
}

func (e *Encoder) raw(b []byte) {
	if e.err == nil {
		_, e.err = e.out.Write(b)
	}
}

// Number writes an unsigned number.
func (e *Encoder) Number(n uint64) {
	e.scratch = binary.AppendUvarint(e.scratch[:0], n)
	e.raw(e.scratch)
}

// Bytes writes a byte string.
func (e *Encoder) Bytes(b []byte) {
	e.Number(uint64(len(b)))
	e.raw(b)
}

// Text writes a string.
func (e *Encoder) Text(s string) { e.Bytes([]byte(s)) }

// EncodeColumn writes a whole column.
func EncodeColumn[T Fixed](e *Encoder, column []T) {
	e.Number(uint64(len(column)))
	e.raw(raw(column))
}

// errSnapshot is wrapped by every error about content.
var errSnapshot = errors.New("index: snapshot is damaged")

// Decoder reads what an Encoder wrote. After the first error it returns zero
// values; the error is that of Err.
type Decoder struct {
	in  *bufio.Reader
	err error
}

// NewDecoder reads from r.
func NewDecoder(r io.Reader) *Decoder { return &Decoder{in: bufio.NewReaderSize(r, 64<<10)} }

// Err is the first error.
func (d *Decoder) Err() error { return d.err }

// Fail records an error of the caller's own, about what it read.
func (d *Decoder) Fail(format string, arguments ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", errSnapshot, fmt.Sprintf(format, arguments...))
	}
}

// Number reads an unsigned number.
func (d *Decoder) Number() uint64 {
	if d.err != nil {
		return 0
	}
	n, err := binary.ReadUvarint(d.in)
	d.fail(err)
	return n
}

func (d *Decoder) fail(err error) {
	if d.err == nil && err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		d.err = err
	}
}

// Length reads a number that is at most limit.
func (d *Decoder) Length(limit int) int {
	n := d.Number()
	if n > uint64(limit) {
		d.Fail("length %d is over %d", n, limit)
		return 0
	}
	return int(n)
}

// Bytes reads a byte string of at most limit bytes.
func (d *Decoder) Bytes(limit int) []byte {
	b := make([]byte, d.Length(limit))
	if d.err == nil {
		_, err := io.ReadFull(d.in, b)
		d.fail(err)
	}
	return b
}

// Text reads a string of at most limit bytes.
func (d *Decoder) Text(limit int) string { return string(d.Bytes(limit)) }

// DecodeColumn reads a whole column. It grows as it reads, so that a wrong
// length costs no memory.
func DecodeColumn[T Fixed](d *Decoder) (column []T) {
	const together = 1 << 16
	for left := d.Length(1 << 32); left > 0 && d.err == nil; {
		part := min(together, left)
		column = slices.Grow(column, part)[:len(column)+part]
		_, err := io.ReadFull(d.in, raw(column[len(column)-part:]))
		d.fail(err)
		left -= part
	}
	return column
}
