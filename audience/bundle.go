package audience

import "github.com/tocsin-push/tocsin/index"

// A project that is small is kept as one part, for there may be many. Its stream
// has this name.
const (
	bundled     = ""
	bundleBytes = 256 << 10
)

// bundle returns the streams of a project as they are to be stored: as one part, if
// they have no more bytes than small.
func bundle(streams []index.Stream, small int) []index.Stream {
	total := 0
	for _, s := range streams {
		for i := range s.Parts {
			if total += len(s.Parts[i].Content()); total > small {
				return streams
			}
		}
	}
	return []index.Stream{index.Whole(bundled, func(e *index.Encoder) {
		e.Number(uint64(len(streams)))
		for _, s := range streams {
			e.Text(s.Name)
			e.Number(uint64(len(s.Parts)))
			for i := range s.Parts {
				e.Bytes(s.Parts[i].Content())
			}
		}
	})}
}

// unbundle reads what bundle wrote.
func unbundle(from *index.Saved) (*index.Saved, error) {
	const most, maxName = 1 << 20, 64 << 10
	var streams []index.Stream
	from.Whole(bundled, func(d *index.Decoder) {
		for range d.Length(most) {
			s := index.Stream{Name: d.Text(maxName)}
			for range d.Length(most) {
				s.Parts = append(s.Parts, index.PartOf(d.Bytes(bundleBytes)))
				if d.Err() != nil {
					return
				}
			}
			streams = append(streams, s)
		}
	})
	return index.SavedOf(streams), from.Err()
}
