package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
)

// partSize leaves room for several parts in one batch.
const partSize = 512 << 10

// Parts is where a value that may exceed MaxValue stands: rows that no other
// version or value shares, and a head that names them. So two writers that do
// not know of each other never mix their values. The zero Parts is nowhere.
type Parts struct {
	Version uint64
	Sum     uint32 // CRC-32C of the value
	Count   int
}

func (p Parts) key(name string, i int) string {
	return fmt.Sprintf("%s/%020d-%08x/%04d", name, p.Version, p.Sum, i)
}

// PutParts returns the writes that store value under name, in steps: each is to
// be durable before the next one begins, so that whoever stops anywhere, and
// whoever reads meanwhile, has the old value or the new one. A value of one part
// stands in the head itself: one row, written over each time. Version must be
// above 0; the highest one wins.
func PutParts(name string, version uint64, value []byte, old Parts) (steps [][]Write, now Parts) {
	now = Parts{Version: version, Sum: crc32.Checksum(value, crc32.MakeTable(crc32.Castagnoli))}
	head := binary.AppendUvarint(nil, version)
	if len(value) > partSize {
		var parts []Write
		for ; len(value) > 0; now.Count++ {
			n := min(partSize, len(value))
			parts = append(parts, Write{Key: now.key(name, now.Count), Value: value[:n:n], Version: version})
			value = value[n:]
		}
		steps = append(steps, parts)
	}
	head = binary.AppendUvarint(head, uint64(now.Count))
	head = binary.BigEndian.AppendUint32(head, now.Sum)
	steps = append(steps, []Write{{Key: name, Value: append(head, value...), Version: version}})
	if old.Count > 0 && (old.Version != version || old.Sum != now.Sum) {
		var gone []Write
		for i := range old.Count {
			gone = append(gone, Write{Key: old.key(name, i), Version: version, Delete: true})
		}
		steps = append(steps, gone)
	}
	return steps, now
}

// decodeHead reads a head, and what of the value stands in it.
func decodeHead(name string, head []byte) (at Parts, value []byte, err error) {
	version, n := binary.Uvarint(head)
	count, k := binary.Uvarint(head[max(n, 0):])
	if n <= 0 || k <= 0 || len(head) < n+k+4 || count > 0 && len(head) > n+k+4 {
		return Parts{}, nil, fmt.Errorf("store: head of %q is damaged", name)
	}
	head = head[n+k:]
	return Parts{Version: version, Sum: binary.BigEndian.Uint32(head), Count: int(count)}, head[4:], nil
}

// AllOf is All of a place with a value in parts, without the parts that are not
// in force. An engine may go long over what deleted ones left behind, and there
// may be many.
func AllOf(ctx context.Context, s Store, place Place, name string) (rows []Row, err error) {
	for tries := 3; ; tries-- {
		if rows, err = All(ctx, s, place, "", name+"/"); err != nil {
			return nil, err
		}
		parts, whole, err := partsOf(ctx, s, place, name, rows)
		if err != nil {
			return nil, err
		}
		rest, err := All(ctx, s, place, name+"0", "") // 0 is next to /
		if err != nil {
			return nil, err
		}
		// One that is not whole was written over meanwhile, or damaged.
		if whole || tries == 1 {
			return slices.Concat(rows, parts, rest), nil
		}
	}
}

func partsOf(ctx context.Context, s Store, place Place, name string, rows []Row) (parts []Row, whole bool, err error) {
	i := slices.IndexFunc(rows, func(r Row) bool { return r.Key == name })
	if i < 0 {
		return nil, true, nil
	}
	at, _, err := decodeHead(name, rows[i].Value)
	if err != nil || at.Count == 0 { // JoinParts tells of a damaged one
		return nil, true, nil
	}
	parts, err = All(ctx, s, place, at.key(name, 0), at.key(name, at.Count))
	return parts, len(parts) == at.Count, err
}

// JoinParts reads the value stored under name out of the rows of its place; a
// zero Parts says that there is none.
func JoinParts(name string, rows []Row) (value []byte, at Parts, err error) {
	byKey := make(map[string][]byte, len(rows))
	for _, r := range rows {
		byKey[r.Key] = r.Value
	}
	head, ok := byKey[name]
	if !ok {
		return nil, Parts{}, nil
	}
	if at, value, err = decodeHead(name, head); err != nil {
		return nil, Parts{}, err
	}
	for i := range at.Count {
		part, ok := byKey[at.key(name, i)]
		if !ok {
			return nil, Parts{}, fmt.Errorf("store: part %d of %q is missing", i, name)
		}
		value = append(value, part...)
	}
	if crc32.Checksum(value, crc32.MakeTable(crc32.Castagnoli)) != at.Sum {
		return nil, Parts{}, fmt.Errorf("store: %q is damaged", name)
	}
	return value, at, nil
}
