package store

import (
	"bytes"
	"encoding/binary"
)

const (
	// cellSize is the unit in which records are kept. Since every record is a
	// chain of the same cells, whatever is freed fits whatever comes: memory
	// never has to be moved from one size of objects to another. It costs half a
	// cell at the end of a record and cellHead in each.
	cellSize = 128
	// cellHead is what of a cell is no content: the next cell of the chain, and
	// the record's entry.
	cellHead      = 8
	cellBytes     = cellSize - cellHead
	cellsPerBlock = blockSize / cellSize
	// freeCell marks the owner of a free cell; the rest of it is the previous
	// cell on the free list.
	freeCell = 1 << 31
)

// cells is an arena of records. Number 0 is no cell. Records may be read while
// others are written, allocated and freed; the caller keeps a record from being
// freed or moved while it is read.
type cells struct {
	*blocks
	top  uint32 // cells taken from the blocks so far, free or not
	free uint32 // head of the free list
	idle int    // length of the free list
}

func (c *cells) at(cell uint32) []byte {
	cell--
	i := cell % cellsPerBlock * cellSize
	return c.list[cell/cellsPerBlock][i : i+cellSize : i+cellSize]
}

func (c *cells) next(cell uint32) uint32     { return binary.LittleEndian.Uint32(c.at(cell)) }
func (c *cells) owner(cell uint32) uint32    { return binary.LittleEndian.Uint32(c.at(cell)[4:]) }
func (c *cells) setNext(cell, next uint32)   { binary.LittleEndian.PutUint32(c.at(cell), next) }
func (c *cells) setOwner(cell, owner uint32) { binary.LittleEndian.PutUint32(c.at(cell)[4:], owner) }

// cellsFor is how many cells a record of n bytes takes.
func cellsFor(n int) int { return (n + cellBytes - 1) / cellBytes }

// write stores a record for owner, for which there is room, in cells that nothing
// refers to yet, free ones first, and returns the first.
func (c *cells) write(record []byte, owner uint32) (first uint32) {
	var last uint32
	for len(record) > 0 {
		cell := c.take()
		b := c.at(cell)
		binary.LittleEndian.PutUint32(b, 0)
		binary.LittleEndian.PutUint32(b[4:], owner)
		record = record[copy(b[cellHead:], record):]
		if last == 0 {
			first = cell
		} else {
			c.setNext(last, cell)
		}
		last = cell
	}
	return first
}

// read hands on n bytes of a record, skip bytes after its start. It reports
// false if a cell on the way is not owner's.
func (c *cells) read(first, owner uint32, skip, n int, take func([]byte)) bool {
	for cell := first; n > 0; {
		if cell == 0 {
			return false
		}
		b := c.at(cell)
		if binary.LittleEndian.Uint32(b[4:]) != owner {
			return false
		}
		cell = binary.LittleEndian.Uint32(b)
		if skip >= cellBytes {
			skip -= cellBytes
			continue
		}
		part := b[cellHead+skip:]
		part, skip = part[:min(len(part), n)], 0
		take(part)
		n -= len(part)
	}
	return true
}

// begins reports whether a record begins with prefix.
func (c *cells) begins(first, owner uint32, prefix []byte) bool {
	same := true
	whole := c.read(first, owner, 0, len(prefix), func(part []byte) {
		same = same && bytes.Equal(part, prefix[:len(part)])
		prefix = prefix[len(part):]
	})
	return whole && same
}

// release frees the chain that begins with first.
func (c *cells) release(first uint32) {
	for cell := first; cell != 0; {
		next := c.next(cell)
		c.setNext(cell, c.free)
		c.setOwner(cell, freeCell)
		if c.free != 0 {
			c.setOwner(c.free, freeCell|cell)
		}
		c.free = cell
		c.idle++
		cell = next
	}
}

// reserve makes room for a record of n cells; false when the system has no
// memory left.
func (c *cells) reserve(n int) bool {
	return c.blocks.reserve(int(c.top)+max(0, n-c.idle), cellsPerBlock)
}

// take removes a cell from the free list, or makes one of those reserved.
func (c *cells) take() uint32 {
	if cell := c.free; cell != 0 {
		c.unlist(cell)
		return cell
	}
	c.top++
	return c.top
}

// unlist takes a free cell off the free list.
func (c *cells) unlist(cell uint32) {
	next, prev := c.next(cell), c.owner(cell)&^freeCell
	if prev != 0 {
		c.setNext(prev, next)
	} else {
		c.free = next
	}
	if next != 0 {
		c.setOwner(next, freeCell|prev)
	}
	c.idle--
}

// shrink gives up the last n cells and the blocks that this empties. What is in
// use among them moves to free ones, of which there must be n. move is called
// for each of those with the owner, and calls swap while nobody reads its
// record; swap returns the first cell of the record afterwards.
func (c *cells) shrink(n int, move func(owner uint32, swap func(first uint32) uint32)) {
	low := c.top - uint32(n)
	for cell := low + 1; cell <= c.top; cell++ {
		if c.owner(cell)&freeCell != 0 {
			c.unlist(cell)
			c.setOwner(cell, 0)
		}
	}
	for cell := low + 1; cell <= c.top; cell++ {
		owner := c.owner(cell)
		if owner == 0 {
			continue
		}
		to := c.take()
		move(owner, func(first uint32) uint32 {
			copy(c.at(to), c.at(cell))
			if first == cell {
				return to
			}
			before := first
			for c.next(before) != cell {
				before = c.next(before)
			}
			c.setNext(before, to)
			return first
		})
	}
	c.top = low
	for c.n > 0 && (c.n-1)*cellsPerBlock >= int(low) {
		c.remove()
	}
}
