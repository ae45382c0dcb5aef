package dynamostore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/yunduo-scrm/archive/shared/archive/directory"
)

// changesPerItem keeps an item of changes below DynamoDB's 400 KB, with the longest
// userids.
const changesPerItem = 1000

type (
	scopeChangesItem struct {
		At      time.Time         `dynamodbav:"at"`
		Changes []scopeChangeItem `dynamodbav:"changes"`
	}
	scopeChangeItem struct {
		Member  string            `dynamodbav:"member"`
		Edition directory.Edition `dynamodbav:"edition"`
		Entered bool              `dynamodbav:"entered"`
	}
)

// scopePK is a partition of its own, so that reading the reach does not read it.
func scopePK(corp string) string { return corp + "#scope" }

// AppendScope implements [directory.ScopeLog].
func (c *Contacts) AppendScope(ctx context.Context, corp string, changes []directory.ScopeChange) error {
	for n, part := range slices.Collect(slices.Chunk(changes, changesPerItem)) {
		ms, err := millis(part[0].At)
		if err != nil {
			return err
		}
		attributes := scopeChangesItem{At: part[0].At}
		for _, change := range part {
			attributes.Changes = append(attributes.Changes, scopeChangeItem{change.Member, change.Edition, change.Entered})
		}
		it, err := encode(scopePK(corp), fmt.Sprintf("%s#%04d", ms, n), attributes)
		if err == nil {
			err = c.put(ctx, c.client, it)
		}
		if err != nil {
			return fmt.Errorf("save changes of the scope of corp %s: %w", corp, err)
		}
	}
	return nil
}

// ScopeChanges implements [directory.ScopeLog].
func (c *Contacts) ScopeChanges(ctx context.Context, corp string) (changes []directory.ScopeChange, _ error) {
	for it, err := range c.query(ctx, c.client, consistently(partition(scopePK(corp)))) {
		var attributes scopeChangesItem
		if err == nil {
			attributes, err = readItem[scopeChangesItem](it)
		}
		if err != nil {
			return nil, fmt.Errorf("read changes of the scope of corp %s: %w", corp, err)
		}
		for _, change := range attributes.Changes {
			changes = append(changes, directory.ScopeChange{Member: change.Member, Edition: change.Edition, Entered: change.Entered, At: attributes.At})
		}
	}
	return changes, nil
}
