package sim

// field names a header that some service reads. Names nobody reads are
// fieldOther; those that HTTP/2 forbids are fieldForbidden (RFC 9113 8.2.2).
type field uint8

const (
	fieldOther field = iota
	fieldForbidden
	fieldTE
	fieldMethod // pseudo-headers from here ...
	fieldScheme
	fieldPath
	fieldAuthority
	fieldUnknownPseudo // ... to here
	fieldAuthorization
	fieldContentLength
	fieldContentEncoding
	fieldAPNsTopic
	fieldAPNsPushType
	fieldAPNsPriority
	fieldAPNsExpiration
	fieldAPNsCollapseID
	fieldAPNsID
	fieldTTL
	fieldUrgency
	fieldTopic
	fieldCount
)

func (f field) pseudo() bool { return f >= fieldMethod && f <= fieldUnknownPseudo }

func fieldOf(name []byte) field {
	switch string(name) {
	case ":method":
		return fieldMethod
	case ":scheme":
		return fieldScheme
	case ":path":
		return fieldPath
	case ":authority":
		return fieldAuthority
	case "authorization":
		return fieldAuthorization
	case "content-length":
		return fieldContentLength
	case "content-encoding":
		return fieldContentEncoding
	case "apns-topic":
		return fieldAPNsTopic
	case "apns-push-type":
		return fieldAPNsPushType
	case "apns-priority":
		return fieldAPNsPriority
	case "apns-expiration":
		return fieldAPNsExpiration
	case "apns-collapse-id":
		return fieldAPNsCollapseID
	case "apns-id":
		return fieldAPNsID
	case "ttl":
		return fieldTTL
	case "urgency":
		return fieldUrgency
	case "topic":
		return fieldTopic
	case "te":
		return fieldTE
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		return fieldForbidden
	}
	if len(name) == 0 {
		return fieldForbidden
	}
	if name[0] == ':' {
		return fieldUnknownPseudo
	}
	for _, b := range name {
		// RFC 9113 8.2.1: no upper case, no control, space, DEL or beyond.
		if b <= ' ' || b >= 0x7f || b == ':' || (b >= 'A' && b <= 'Z') {
			return fieldForbidden
		}
	}
	return fieldOther
}

// entry is a header of HPACK's static or dynamic table. Name and value are
// never changed once it is in a table.
type entry struct {
	field       field
	name, value []byte
}

// size is the entry's share of the table (RFC 7541 4.1).
func (e entry) size() int { return len(e.name) + len(e.value) + 32 }

// staticTable is RFC 7541 appendix A; index 0 is unused.
var staticTable = makeStaticTable()

func makeStaticTable() (table [62]entry) {
	for i, pair := range [...][2]string{{}, {":authority"}, {":method", "GET"}, {":method", "POST"}, {":path", "/"},
		{":path", "/index.html"}, {":scheme", "http"}, {":scheme", "https"}, {":status", "200"}, {":status", "204"},
		{":status", "206"}, {":status", "304"}, {":status", "400"}, {":status", "404"}, {":status", "500"},
		{"accept-charset"}, {"accept-encoding", "gzip, deflate"}, {"accept-language"}, {"accept-ranges"}, {"accept"},
		{"access-control-allow-origin"}, {"age"}, {"allow"}, {"authorization"}, {"cache-control"},
		{"content-disposition"}, {"content-encoding"}, {"content-language"}, {"content-length"}, {"content-location"},
		{"content-range"}, {"content-type"}, {"cookie"}, {"date"}, {"etag"}, {"expect"}, {"expires"}, {"from"},
		{"host"}, {"if-match"}, {"if-modified-since"}, {"if-none-match"}, {"if-range"}, {"if-unmodified-since"},
		{"last-modified"}, {"link"}, {"location"}, {"max-forwards"}, {"proxy-authenticate"}, {"proxy-authorization"},
		{"range"}, {"referer"}, {"refresh"}, {"retry-after"}, {"server"}, {"set-cookie"}, {"strict-transport-security"},
		{"transfer-encoding"}, {"user-agent"}, {"vary"}, {"via"}, {"www-authenticate"}} {
		table[i] = entry{fieldOf([]byte(pair[0])), []byte(pair[0]), []byte(pair[1])}
	}
	return table
}
