// Package repo reads the Git checkout that a plan is made for: its root, its
// head, what is uncommitted, and the history of a few files.
//
// It works on the object store itself, through go-git, and never writes to it;
// no git program is run. Linked worktrees, submodules, shallow and partial
// clones are read like any other checkout, with what they hold.
//
// [Layout] is an exception: it makes a new repository out of given commits, for
// the bundled incidents and for tests. [Remote] is the other: it clones what is
// on a Git server, and a [Worktree] makes commits there and pushes them, each to
// a branch that is where it was expected and nowhere else.
package repo
