package index

import "unsafe"

// Fixed is a type whose values are stored as they stand in memory.
type Fixed interface {
	~uint8 | ~uint16 | ~uint32 | ~uint64 | ~int64 | ~[16]byte
}

// Cells is a column of one cell a row, in chunks of the rows of a block. Chunks
// that a snapshot has frozen are never written again: the first change to one
// copies it. A chunk may be shorter than a block: cells that are missing are zero.
type Cells[T Fixed] struct{ chunks []chunk[T] }

type chunk[T Fixed] struct {
	cells  []T
	sum    *Sum    // of the cells; nil since they changed
	moment *Moment // holds these cells, unless it is over; nil when nobody does
}

// CellsOf makes a column of cells that stand in a row.
func CellsOf[T Fixed](flat []T) (c Cells[T]) {
	for i, cell := range flat {
		c.Set(uint32(i), cell)
	}
	return c
}

// Len is one more than the last row that was set.
func (c *Cells[T]) Len() int {
	if last := len(c.chunks) - 1; last >= 0 {
		return last*blockRows + len(c.chunks[last].cells)
	}
	return 0
}

// At returns the cell of a row, zero beyond the last.
func (c *Cells[T]) At(row uint32) (cell T) {
	if cells := c.Block(row >> 16); int(row&0xffff) < len(cells) {
		cell = cells[row&0xffff]
	}
	return cell
}

// Block returns the cells of a block for reading; it may be shorter than the
// block, and cells that are missing are zero.
func (c *Cells[T]) Block(number uint32) []T {
	if int(number) < len(c.chunks) {
		return c.chunks[number].cells
	}
	return nil
}

// Append puts a cell behind the last row.
func (c *Cells[T]) Append(cell T) { c.Set(uint32(c.Len()), cell) }

// Set writes a cell; the column grows up to it.
func (c *Cells[T]) Set(row uint32, cell T) {
	number, low := int(row>>16), int(row&0xffff)
	for number >= len(c.chunks) {
		c.chunks = append(c.chunks, chunk[T]{})
	}
	k := &c.chunks[number]
	if low < len(k.cells) {
		if k.cells[low] != cell {
			k.own()
			k.cells[low], k.sum = cell, nil
		}
		return
	}
	k.sum = nil
	// What lies behind the frozen part of a chunk is nobody's: no copy is made.
	if k.cells == nil && number > 0 && low == 0 {
		k.cells = make([]T, 0, blockRows) // large columns grow in order
	}
	if missing := low - len(k.cells); missing > 0 {
		k.cells = append(k.cells, make([]T, missing)...)
	}
	k.cells = append(k.cells, cell)
}

// own makes the cells the writer's alone.
func (k *chunk[T]) own() {
	if k.moment != nil && !k.moment.over.Load() {
		// append clears nothing that it copies over: the writer waits.
		k.cells = append([]T(nil), k.cells...)
	}
	k.moment = nil
}

// cut leaves the first cells.
func (c *Cells[T]) cut(rows int) {
	c.chunks = c.chunks[:min((rows+blockRows-1)/blockRows, len(c.chunks))]
	if last := len(c.chunks) - 1; last >= 0 {
		k := &c.chunks[last]
		k.own()
		k.cells, k.sum = k.cells[:min(rows-last*blockRows, len(k.cells))], nil
	}
}

// flat returns the cells in a row.
func (c *Cells[T]) flat() []T {
	all := make([]T, c.Len())
	for i := range c.chunks {
		copy(all[i*blockRows:], c.chunks[i].cells)
	}
	return all
}

// Size is the memory in use, in bytes.
func (c *Cells[T]) Size() int {
	var cell T
	bytes := cap(c.chunks) * int(unsafe.Sizeof(chunk[T]{}))
	for i := range c.chunks {
		bytes += cap(c.chunks[i].cells) * int(unsafe.Sizeof(cell))
	}
	return bytes
}

// Freeze returns the column as it is now, a part for each chunk.
func (c *Cells[T]) Freeze(name string, m *Moment) Stream {
	s := Stream{Name: name, Parts: make([]Part, len(c.chunks))}
	for i := range c.chunks {
		k := &c.chunks[i]
		if k.sum == nil {
			k.sum = new(Sum)
		}
		s.Parts[i], k.moment = Part{Sum: k.sum, content: raw(k.cells)}, m
	}
	return s
}

// LoadCells reads a column back.
func LoadCells[T Fixed](from *Saved, name string) (c Cells[T]) {
	var cell T
	size := int(unsafe.Sizeof(cell))
	lengths := from.Parts(name)
	c.chunks = make([]chunk[T], len(lengths))
	for i, length := range lengths {
		if length%size != 0 || length > blockRows*size {
			from.Fail("%.60q has a part of %d bytes", name, length)
			return Cells[T]{}
		}
		room := length / size
		if i > 0 {
			room = blockRows
		}
		c.chunks[i].cells = make([]T, length/size, room)
		c.chunks[i].sum = from.Read(name, i, raw(c.chunks[i].cells))
	}
	return c
}

// raw is the memory of cells. Snapshots hold it as it is: they are read by
// machines of the same byte order only, and say which that is.
func raw[T Fixed](cells []T) []byte {
	var cell T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(cells))), len(cells)*int(unsafe.Sizeof(cell)))
}
