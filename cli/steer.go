package cli

import (
	"fmt"
	"strconv"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

// steered is a command that changes how fast a send goes.
type steered struct {
	remote
	Send tocsin.SendID `arg:"" name:"send-id"`
}

func (c *steered) change(s *session, u client.SendUpdate) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	found, err := api.Steer(s.ctx, c.Send, u)
	if err != nil {
		return err
	}
	return c.printSend(s, found)
}

type pause struct{ steered }

func (c *pause) Run(s *session) error {
	paused := true
	return c.change(s, client.SendUpdate{Paused: &paused})
}

type resume struct{ steered }

func (c *resume) Run(s *session) error {
	paused := false
	return c.change(s, client.SendUpdate{Paused: &paused})
}

type rate struct {
	steered
	PerMinute string `arg:"" help:"Pushes a minute, or none for as fast as possible."`
}

func (c *rate) Run(s *session) error {
	perMinute := 0
	if c.PerMinute != "none" {
		var err error
		if perMinute, err = strconv.Atoi(c.PerMinute); err != nil || perMinute < 1 {
			return fmt.Errorf("%w: a rate is pushes a minute, or none", errUsage)
		}
	}
	return c.change(s, client.SendUpdate{Rate: client.AtMost(perMinute)})
}
