package bulk

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// longestRetryAfter bounds what a service may ask for; a push lives 28 days.
const longestRetryAfter = 28 * 24 * time.Hour

// parseRetryAfter reads seconds or a date (RFC 9110 10.2.3); what is neither
// is no wish.
func parseRetryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, longestRetryAfter)
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, min(at.Sub(now), longestRetryAfter))
	}
	return 0
}

// Word is text of a peer made fit for logs and details: at most 48 letters and
// underscores. Digits are left out, so that no address and no token gets in.
func Word(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_' {
			return r
		}
		return -1
	}, text[:min(len(text), 48)])
}
