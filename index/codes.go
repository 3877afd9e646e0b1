package index

import "slices"

// codes is a column of small numbers, 0 where there is none, in the narrowest
// of one, two or four bytes a row that holds the largest.
type codes struct {
	narrow []uint8
	middle []uint16
	wide   []uint32
	width  uint8 // bytes a row: 1, 2 or 4
}

func (c *codes) rows() int { return len(c.narrow) + len(c.middle) + len(c.wide) }

func (c *codes) get(row uint32) uint32 {
	switch {
	case int(row) < len(c.narrow):
		return uint32(c.narrow[row])
	case int(row) < len(c.middle):
		return uint32(c.middle[row])
	case int(row) < len(c.wide):
		return c.wide[row]
	}
	return 0
}

func (c *codes) set(row, code uint32) {
	switch {
	case c.width < 4 && code > 0xffff:
		c.wide = widen[uint32](c)
		c.narrow, c.middle, c.width = nil, nil, 4
	case c.width < 2 && code > 0xff:
		c.middle = widen[uint16](c)
		c.narrow, c.width = nil, 2
	case c.width == 0:
		c.width = 1
	}
	switch c.width {
	case 1:
		c.narrow = put(c.narrow, row, uint8(code))
	case 2:
		c.middle = put(c.middle, row, uint16(code))
	default:
		c.wide = put(c.wide, row, code)
	}
}

func widen[T uint16 | uint32](c *codes) []T {
	to := make([]T, c.rows(), c.rows()+c.rows()/8+8)
	for row := range to {
		to[row] = T(c.get(uint32(row)))
	}
	return to
}

// put writes a cell, and grows the column with zero cells up to it.
func put[T any](column []T, row uint32, cell T) []T {
	if int(row) < len(column) {
		column[row] = cell
		return column
	}
	if missing := int(row) - len(column); missing > 0 {
		column = append(column, make([]T, missing)...)
	}
	return append(column, cell)
}

// measure finds the width of columns that were read back.
func (c *codes) measure() {
	switch {
	case len(c.wide) > 0:
		c.width = 4
	case len(c.middle) > 0:
		c.width = 2
	case len(c.narrow) > 0:
		c.width = 1
	}
}

// cut leaves the first cells.
func (c *codes) cut(rows int) {
	c.narrow, c.middle, c.wide = c.narrow[:min(rows, len(c.narrow))], c.middle[:min(rows, len(c.middle))], c.wide[:min(rows, len(c.wide))]
}

func (c *codes) clone() codes {
	return codes{slices.Clone(c.narrow), slices.Clone(c.middle), slices.Clone(c.wide), c.width}
}

func (c *codes) size() int { return cap(c.narrow) + 2*cap(c.middle) + 4*cap(c.wide) }
