package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tocsin-push/tocsin"
)

type outcomes struct {
	remote
	Send    tocsin.SendID  `arg:"" help:"Id of the send."`
	Outcome tocsin.Outcome `help:"Only those that ended so: accepted, gone, refused, expired, suppressed, cancelled or in_doubt."`
}

// Run writes a line for each push, as they come: there may be millions.
func (c *outcomes) Run(s *session) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	out := bufio.NewWriter(s.out)
	lines := json.NewEncoder(out)
	for one, err := range api.Outcomes(s.ctx, c.Send, c.Outcome) {
		switch {
		case err != nil:
			return errors.Join(err, out.Flush())
		case c.JSON:
			err = lines.Encode(one)
		case one.Doubtful:
			_, err = fmt.Fprintf(out, "%s  %-7s  %-10s  %s doubtful\n", one.Subscription, one.Provider, one.Outcome, one.Reason)
		default:
			_, err = fmt.Fprintf(out, "%s  %-7s  %-10s  %s\n", one.Subscription, one.Provider, one.Outcome, one.Reason)
		}
		if err != nil {
			return err
		}
	}
	return out.Flush()
}
