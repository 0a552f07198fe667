package guard

import "time"

// Verb of a command.
type Verb string

const (
	// Replan forgets a refusal.
	Replan Verb = "replan"
	// Reject closes the pull request and remembers the refusal.
	Reject Verb = "reject"
	// Choose takes another candidate.
	Choose Verb = "candidate"
	// Snooze leaves everything alone for a while.
	Snooze Verb = "snooze"
)

// Command is what a person with write access wrote in a comment of its own line:
// "/remediate snooze 7d".
type Command struct {
	Verb Verb
	// Arg is the reason, the candidate's id, or the duration.
	Arg string
	// For is Arg of a snooze.
	For time.Duration
	By  string
	At  time.Time
	// Comment is the forge's id of the comment.
	Comment string
}
