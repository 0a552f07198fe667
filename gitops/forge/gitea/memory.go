package gitea

import (
	"maps"
	"slices"
	"sync"
)

// memory knows the pull requests that were seen by their branches, so that the
// whole list is read only once. What they are now is asked each time. It is safe
// for concurrent use; its zero value knows nothing.
type memory struct {
	mu     sync.Mutex
	newest int
	branch map[int]string
}

// known is a state of a memory.
type known struct {
	// newest number that was seen; all below it were, too.
	newest int
	branch map[int]string
}

func (m *memory) read() known {
	m.mu.Lock()
	defer m.mu.Unlock()
	return known{m.newest, maps.Clone(m.branch)}
}

// of gives the numbers of a branch, newest first.
func (k known) of(branch string) (numbers []int) {
	for number, b := range k.branch {
		if b == branch {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	slices.Reverse(numbers)
	return numbers
}

// learn adds what a walk from the newest down to what was known has seen.
func (m *memory) learn(fresh map[int]string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.branch == nil {
		m.branch = map[int]string{}
	}
	for number, branch := range fresh {
		m.newest = max(m.newest, number)
		if branch != "" {
			m.branch[number] = branch
		}
	}
}
