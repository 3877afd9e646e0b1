package sim

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// Whatever x/net's encoder writes is read as it was meant: indexed, literal,
// Huffman coded, evicted, with tables that shrink and grow.
func TestHPACKAgainstEncoder(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	for round := range 200 {
		var block bytes.Buffer
		encoder, d := hpack.NewEncoder(&block), newDecoder()
		encoder.SetMaxDynamicTableSizeLimit(headerTableSize)
		for range 100 {
			block.Reset()
			if r.IntN(20) == 0 {
				encoder.SetMaxDynamicTableSize(r.Uint32N(headerTableSize + 1))
			}
			want := make(map[field]string)
			for _, name := range []string{":method", ":path", "authorization", "apns-topic", "apns-id", "ttl", "x-other"} {
				value := fmt.Sprint(name, r.IntN(3), strings.Repeat("v\xff~", r.IntN(60)))
				if r.IntN(100) == 0 {
					value = strings.Repeat("long", 2000)
				}
				if err := encoder.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: r.IntN(4) == 0}); err != nil {
					t.Fatal(err)
				}
				want[fieldOf([]byte(name))] = value
			}
			got, err := d.decode(1, block.Bytes())
			if err != nil {
				t.Fatalf("seed %d round %d: %v", seed, round, err)
			}
			if d.size > headerTableSize {
				t.Fatalf("seed %d: table holds %d bytes", seed, d.size)
			}
			for f, value := range want {
				if f != fieldOther && string(got.get(f)) != value {
					t.Fatalf("seed %d round %d: field %d is %q, want %q", seed, round, f, got.get(f), value)
				}
			}
		}
	}
}

// Damaged blocks are refused or read as something, and nothing breaks.
func TestHPACKDamaged(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 2))
	for range 20_000 {
		block := make([]byte, r.IntN(40))
		for i := range block {
			block[i] = byte(r.Uint32())
		}
		d := newDecoder()
		for range 2 {
			if _, err := d.decode(1, block); err != nil {
				break
			}
		}
	}
	for name, block := range map[string]string{"index 0": "\x80", "index beyond": "\xbf\x80\x01", "size update too big": "\x3f\xe2\x1f",
		"size update late": "\x82\x20", "text cut": "\x00\x05ab", "integer too long": "\xff\xff\xff\xff\xff\xff\x01", "no value": "\x44"} {
		if _, err := newDecoder().decode(1, []byte(block)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// A block taken for one like the last says what decoding it would have said,
// also when the memory of the last one is long used again.
func TestHPACKLikeLast(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 3))
	likeLast, d, full := 0, newDecoder(), newDecoder()
	usual := [...][2]string{{":method", "POST"}, {":path", "/a"}, {"te", "trailers"}, {"ttl", "60"}, {"apns-id", "one"}, {"x-other", "y"}}
	headers, kinds, huffman := usual, [len(usual)]byte{}, [len(usual)]bool{}
	var memory [2][1 << 10]byte
	for i := range 200_000 {
		if i%50 == 0 {
			headers, kinds, huffman = usual, [len(usual)]byte{}, [len(usual)]bool{}
		}
		switch at := r.IntN(len(headers)); r.IntN(40) {
		case 0, 1:
			kinds[at] = []byte{0, 0x10, 0x40, 0x84, 0xbe}[r.IntN(5)]
			huffman[at] = r.IntN(4) == 0
		case 2:
			headers[at][1] = []string{"/a", "POST", "trailers", "two", "60"}[r.IntN(5)]
		case 3:
			other := r.IntN(len(headers))
			headers[at], headers[other] = headers[other], headers[at]
		case 4:
			headers[at][0] = []string{":path", "ttl", "te", "apns-id", ":method", "x-other"}[r.IntN(6)]
		default: // what differs from push to push
			for i := range headers {
				if headers[i][0] == ":path" || headers[i][0] == "apns-id" {
					headers[i][1] = string('a' + rune(r.IntN(26)))
				}
			}
		}
		block := memory[i%2][:0]
		for i, h := range headers {
			switch name, value := h[0], h[1]; {
			case kinds[i] < 0x80: // a literal
				coded := hpack.AppendHuffmanString(nil, name)
				block = append(append(block, kinds[i], 0x80|byte(len(coded))), coded...)
				if coded = hpack.AppendHuffmanString(nil, value); huffman[i] {
					block = append(append(block, 0x80|byte(len(coded))), coded...)
				} else {
					block = append(append(block, byte(len(value))), value...)
				}
			case kinds[i] == 0x84 || len(full.table) > 0: // :path: /, or the newest of the dynamic table
				block = append(block, kinds[i])
			}
		}
		form := d.request.form
		got, err := d.decode(1, block)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if got.form == form {
			likeLast++
		}
		clear(memory[1-i%2][:])
		full.pattern.begin()
		want, err := full.decode(1, bytes.Clone(block))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if got.set != want.set || got.duplicate != want.duplicate || got.malformed != want.malformed {
			t.Fatalf("seed %d: %q: got %+v, want %+v", seed, block, got, want)
		}
		for f := range want.values {
			if string(got.get(field(f))) != string(want.get(field(f))) {
				t.Fatalf("seed %d: %q: field %d is %q, want %q", seed, block, f, got.get(field(f)), want.get(field(f)))
			}
		}
	}
	if likeLast < 10_000 {
		t.Fatalf("seed %d: %d blocks were like the last one", seed, likeLast)
	}
}
