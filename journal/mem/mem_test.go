package mem_test

import (
	"testing"

	"github.com/tocsin-push/tocsin/journal/journaltest"
	"github.com/tocsin-push/tocsin/journal/mem"
)

func TestContract(t *testing.T) {
	journaltest.Run(t, func(*testing.T) journaltest.Engine { return journaltest.Engine{Journal: mem.New()} })
}
