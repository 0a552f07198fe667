package controller

import (
	"fmt"
	"slices"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// zoneOf is the time zone of a recurring freeze.
func zoneOf(f v1alpha1.Freeze) (*time.Location, error) {
	if f.TimeZone == "" {
		return time.UTC, nil
	}
	return time.LoadLocation(f.TimeZone)
}

// frozen says whether a freeze holds at a time, why, and when the last one that
// holds then ends.
func frozen(all []v1alpha1.Freeze, now time.Time) (why string, until time.Time) {
	for _, f := range all {
		if end, ok := holds(f, now); ok && end.After(until) {
			until = end
			why = "frozen until " + end.UTC().Format("2006-01-02 15:04 UTC")
			if f.Reason != "" {
				why += ": " + v1alpha1.Clip(f.Reason, 200)
			}
		}
	}
	return why, until
}

// holds says whether one freeze holds, and until when.
func holds(f v1alpha1.Freeze, now time.Time) (time.Time, bool) {
	if f.From != nil && f.To != nil {
		return f.To.Time, !now.Before(f.From.Time) && now.Before(f.To.Time)
	}
	zone, err := zoneOf(f)
	if err != nil || f.Start == "" {
		return time.Time{}, false
	}
	local := now.In(zone)
	// One that began yesterday may hold still.
	for _, day := range []time.Time{local.AddDate(0, 0, -1), local} {
		start, end := onDay(day, f.Start), onDay(day, f.End)
		if !end.After(start) {
			end = onDay(day.AddDate(0, 0, 1), f.End)
		}
		if startsOn(f, day) && !now.Before(start) && now.Before(end) {
			return end, true
		}
	}
	return time.Time{}, false
}

// onDay is HH:MM on that day; 24:00 is the next one's beginning.
func onDay(day time.Time, clock string) time.Time {
	var hour, minute int
	_, _ = fmt.Sscanf(clock, "%d:%d", &hour, &minute)
	return time.Date(day.Year(), day.Month(), day.Day(), hour, minute, 0, 0, day.Location())
}

func startsOn(f v1alpha1.Freeze, day time.Time) bool {
	return len(f.Days) == 0 || slices.Contains(f.Days, v1alpha1.Weekday(day.Weekday().String()[:3]))
}
