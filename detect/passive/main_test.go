package passive

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain: whatever the tests did, nothing of it runs on.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
