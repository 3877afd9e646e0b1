package sim

// request is one request of a stream: the headers that services read, and the
// whole body. It is used again for the next one; a service keeps nothing of it.
type request struct {
	stream    uint32
	set       uint32 // bit f: field f is present
	duplicate bool   // some known field came twice
	malformed bool   // RFC 9113 8.1.1: the stream ends in PROTOCOL_ERROR
	regular   bool   // a header that is no pseudo-header was seen
	form      uint64 // requests of a connection with the same form differ in :path, apns-id and body alone
	values    [fieldCount][]byte
	body      []byte
}

func (r *request) reset(stream uint32) {
	r.stream, r.set, r.duplicate, r.malformed, r.regular, r.body = stream, 0, false, false, false, nil
}

// get returns the value of a header, or nil when it is absent or empty.
func (r *request) get(f field) []byte {
	if r.set&(1<<f) == 0 {
		return nil
	}
	return r.values[f]
}

func (r *request) has(f field) bool { return r.set&(1<<f) != 0 }

func (r *request) add(e *entry) {
	f := e.field
	if f >= fieldAuthorization && r.set&(1<<f) == 0 { // nearly always
		r.regular = true
		r.set |= 1 << f
		r.values[f] = e.value
		return
	}
	switch {
	case f.pseudo():
		if r.regular || r.has(f) || f == fieldUnknownPseudo {
			r.malformed = true
		}
	case f == fieldForbidden, f == fieldTE && string(e.value) != "trailers":
		r.malformed = true
	default:
		r.regular = true
		if f == fieldOther {
			return
		}
		if r.has(f) {
			r.duplicate = true
		}
	}
	r.set |= 1 << e.field
	r.values[e.field] = e.value
}

// complete reports whether the mandatory pseudo-headers are there.
func (r *request) complete() bool {
	const need = 1<<fieldMethod | 1<<fieldScheme | 1<<fieldPath
	return !r.malformed && r.set&need == need && len(r.values[fieldPath]) > 0
}

// lengthFits reports whether content-length, if any, is the body's.
func (r *request) lengthFits() bool {
	if !r.has(fieldContentLength) {
		return true
	}
	n, ok := digits(r.values[fieldContentLength])
	return ok && n == int64(len(r.body))
}

// keep copies what r points to, for a request whose body is yet to come.
func (r *request) keep() *request {
	kept := *r
	total := 0
	for f := range kept.values {
		total += len(r.get(field(f)))
	}
	memory := make([]byte, 0, total)
	for f := range kept.values {
		start := len(memory)
		memory = append(memory, r.get(field(f))...)
		kept.values[f] = memory[start:len(memory):len(memory)]
	}
	return &kept
}

// digits reads a decimal number of at most 18 digits.
func digits(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
