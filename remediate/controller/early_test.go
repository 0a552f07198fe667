package controller

import (
	"testing"
	"time"
)

// A plan of the first moments is made again, once, when probes have tried all ways.
func TestHeardEnough(t *testing.T) {
	now := time.Now()
	for name, tt := range map[string]struct {
		counted time.Time
		want    bool
	}{
		"nothing is counted": {time.Time{}, false},
		"just begun":         {now, false},
		"not long enough":    {now.Add(time.Second - enough), false},
		"long enough":        {now.Add(-enough), true},
	} {
		i := &incident{mem: &memory{counted: tt.counted}, now: now}
		if got := i.heardEnough(); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
