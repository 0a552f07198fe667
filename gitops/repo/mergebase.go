package repo

import (
	"bytes"
	"container/heap"
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// Where a commit was reached from.
const (
	fromOne = 1 << iota
	fromOther
	// belowBase is a common ancestor of which a better one is known.
	belowBase

	fromBoth = fromOne | fromOther
)

// painter walks back from two commits at once, newest commit first, until all
// that is left lies below a common ancestor.
type painter struct {
	store   *filesystem.Storage
	seen    map[plumbing.Hash]*painted
	queue   byDate
	waiting int // commits of the queue that do not lie below a base
	// cut: a parent is not in this clone.
	cut bool
}

type painted struct {
	commit *object.Commit
	from   int
	queued bool
}

// mergeBase is the best common ancestor; ok is false when this clone holds
// none, and cut tells whether history is missing. Parents that a shallow clone
// has are followed, even those behind its edge. Of several bases the newest is
// taken.
func (r *Repo) mergeBase(one, other plumbing.Hash) (base plumbing.Hash, ok, cut bool, err error) {
	store := r.packsOpen()
	defer func() { err = errors.Join(err, store.Close()) }()
	p := &painter{store: store, seen: map[plumbing.Hash]*painted{}}
	if one == other {
		return one, true, false, nil
	}
	if err := errors.Join(p.reach(one, fromOne), p.reach(other, fromOther)); err != nil {
		return base, false, false, err
	}
	bases, err := p.run()
	if err != nil {
		return base, false, false, err
	}
	for _, b := range bases {
		if b.from&belowBase == 0 {
			return b.commit.Hash, true, p.cut, nil
		}
	}
	return base, false, p.cut, nil
}

// run gives the common ancestors found, newest first.
func (p *painter) run() ([]*painted, error) {
	var bases []*painted
	for p.waiting > 0 {
		at := heap.Pop(&p.queue).(*painted)
		at.queued = false
		if at.from&belowBase == 0 {
			p.waiting--
		}
		from := at.from
		if from&fromBoth == fromBoth {
			if from&belowBase == 0 {
				bases = append(bases, at)
			}
			from |= belowBase
		}
		for _, parent := range at.commit.ParentHashes {
			if err := p.reach(parent, from); err != nil {
				return nil, err
			}
		}
	}
	return bases, nil
}

// reach notes where a commit was reached from, and queues it if that is news.
func (p *painter) reach(hash plumbing.Hash, from int) error {
	at := p.seen[hash]
	if at == nil {
		commit, err := object.GetCommit(p.store, hash)
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			p.cut = true
			return nil
		}
		if err != nil {
			return fmt.Errorf("read commit %s: %w", hash, err)
		}
		at = &painted{commit: commit}
		p.seen[hash] = at
	}
	if at.from&from == from {
		return nil
	}
	if at.queued && at.from&belowBase == 0 {
		p.waiting--
	}
	at.from |= from
	if at.from&belowBase == 0 {
		p.waiting++
	}
	if !at.queued {
		at.queued = true
		heap.Push(&p.queue, at)
	}
	return nil
}

// byDate is a heap with the newest commit on top.
type byDate []*painted

func (q byDate) Len() int      { return len(q) }
func (q byDate) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *byDate) Push(x any)   { *q = append(*q, x.(*painted)) }
func (q byDate) Less(i, j int) bool {
	a, b := q[i].commit, q[j].commit
	if d := a.Committer.When.Compare(b.Committer.When); d != 0 {
		return d > 0
	}
	return bytes.Compare(a.Hash[:], b.Hash[:]) < 0
}

func (q *byDate) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
