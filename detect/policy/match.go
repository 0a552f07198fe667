package policy

// match is a three-valued answer, ordered so that "and" is the smaller and
// "or" the larger of two.
type match int8

const (
	no match = iota
	maybe
	yes
)

func matchOf(b bool) match {
	if b {
		return yes
	}
	return no
}

func (m match) not() match { return yes - m }
