package index

// codes is a column of small numbers, 0 where there is none, in the narrowest
// of one, two or four bytes a row that holds the largest.
type codes struct {
	narrow Cells[uint8]
	middle Cells[uint16]
	wide   Cells[uint32]
	width  uint8 // bytes a row: 1, 2 or 4
}

func (c *codes) rows() int { return c.narrow.Len() + c.middle.Len() + c.wide.Len() }

func (c *codes) get(row uint32) uint32 {
	switch c.width {
	case 1:
		return uint32(c.narrow.At(row))
	case 2:
		return uint32(c.middle.At(row))
	}
	return c.wide.At(row)
}

func (c *codes) set(row, code uint32) {
	switch {
	case c.width < 4 && code > 0xffff:
		c.wide = widen[uint32](c)
		c.narrow, c.middle, c.width = Cells[uint8]{}, Cells[uint16]{}, 4
	case c.width < 2 && code > 0xff:
		c.middle = widen[uint16](c)
		c.narrow, c.width = Cells[uint8]{}, 2
	case c.width == 0:
		c.width = 1
	}
	switch c.width {
	case 1:
		c.narrow.Set(row, uint8(code))
	case 2:
		c.middle.Set(row, uint16(code))
	default:
		c.wide.Set(row, code)
	}
}

func widen[T uint16 | uint32](c *codes) (to Cells[T]) {
	for row := range uint32(c.rows()) {
		to.Set(row, T(c.get(row)))
	}
	return to
}

// measure finds the width of columns that were read back.
func (c *codes) measure() {
	switch {
	case c.wide.Len() > 0:
		c.width = 4
	case c.middle.Len() > 0:
		c.width = 2
	case c.narrow.Len() > 0:
		c.width = 1
	}
}

// cut leaves the first cells.
func (c *codes) cut(rows int) {
	c.narrow.cut(rows)
	c.middle.cut(rows)
	c.wide.cut(rows)
}

func (c *codes) clone() codes {
	return codes{CellsOf(c.narrow.flat()), CellsOf(c.middle.flat()), CellsOf(c.wide.flat()), c.width}
}

func (c *codes) size() int { return c.narrow.Size() + c.middle.Size() + c.wide.Size() }
