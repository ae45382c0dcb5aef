package dynamostore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/decode"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// CorpsClient lists the methods of the SDK's client that [Corps] calls.
type CorpsClient interface {
	getClient
	putClient
	queryClient
	transactClient
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
}

// Corps is the table of corps: settings, keys, bindings, callbacks and their events.
// Methods that change a corp or a key return [archive.ErrNotFound] if it is
// absent.
type Corps struct {
	table
	client CorpsClient
}

// NewCorps uses the table of that name.
func NewCorps(client CorpsClient, table string, options ...Option) *Corps {
	return &Corps{table: newTable(table, options), client: client}
}

var (
	_ archive.CorpReader = (*Corps)(nil)
	_ watch.CorpLister   = (*Corps)(nil)
	_ decode.Keys        = (*Corps)(nil)
)

const (
	corpSK        = "corp"
	keysPrefix    = "keys#"
	keyPrefix     = keysPrefix + "key#"
	bindingPrefix = keysPrefix + "version#"
	keyQuotaSK    = "keyquota"

	// registry is the index of the corps' settings. The attribute of the same
	// name puts an item on the index; its value is always registryValue.
	registry      = "registry"
	registryValue = "corp"
)

// Each item type has the same fields as the domain's type, in the same order. A
// field added to the domain's type does not compile here until it has a name in
// the table. The corp is the pk.
type (
	corpItem struct {
		ID            string        `dynamodbav:"-"`
		Name          string        `dynamodbav:"name"`
		CreatedAt     time.Time     `dynamodbav:"created"`
		Enabled       bool          `dynamodbav:"enabled"`
		EnabledAt     time.Time     `dynamodbav:"enabled_at"`
		SecretPrefix  string        `dynamodbav:"secret_prefix"`
		SecretSetAt   time.Time     `dynamodbav:"secret_set_at"`
		SecretDigest  secret.Digest `dynamodbav:"secret_digest"`
		OpenOKAt      time.Time     `dynamodbav:"open_ok_at"`
		OpenRefusedAt time.Time     `dynamodbav:"open_refused_at"`
		OpenCause     archive.Cause `dynamodbav:"open_cause"`
		OpenCode      int           `dynamodbav:"open_code"`
		CurrentKey    string        `dynamodbav:"current_key"`
		CallbackAt    time.Time     `dynamodbav:"callback_at"`
		StateAt       time.Time     `dynamodbav:"state_at"`
		StateBy       string        `dynamodbav:"state_by"`
		StateReason   string        `dynamodbav:"state_reason"`
		PageKey       [32]byte      `dynamodbav:"page_key"`
	}
	keyItem struct {
		ID             string            `dynamodbav:"id"`
		PublicPEM      string            `dynamodbav:"public_pem"`
		Origin         archive.KeyOrigin `dynamodbav:"origin"`
		CreatedAt      time.Time         `dynamodbav:"created"`
		ClaimedVersion uint32            `dynamodbav:"claimed_version"`
		ClaimedAt      time.Time         `dynamodbav:"claimed_at"`
		ClaimedBy      string            `dynamodbav:"claimed_by"`
		LastUsedAt     time.Time         `dynamodbav:"last_used_at"`
		Retried        bool              `dynamodbav:"retried"`
	}
	keyQuotaItem struct {
		Unproved      int         `dynamodbav:"unproved"`
		ImportsPerDay int         `dynamodbav:"imports_per_day"`
		Imports       int         `dynamodbav:"imports"`
		Day           archive.Day `dynamodbav:"day"`
		Today         int         `dynamodbav:"today"`
		Begun         int         `dynamodbav:"begun"`
		Rev           uint64      `dynamodbav:"rev"`
	}
	bindingItem struct {
		Version uint32    `dynamodbav:"version"`
		KeyID   string    `dynamodbav:"key_id"`
		Seq     uint64    `dynamodbav:"seq"`
		MsgID   string    `dynamodbav:"msgid"`
		At      time.Time `dynamodbav:"at"`
	}
)

func readCorp(it item) (archive.Corp, error) {
	c, err := readItem[corpItem](it)
	c.ID = keyOf(it, "pk")
	return archive.Corp(c), err
}

// Corp reads a corp's settings consistently.
func (c *Corps) Corp(ctx context.Context, id string) (archive.Corp, error) {
	it, err := c.get(ctx, c.client, key(id, corpSK))
	var corp archive.Corp
	if err == nil {
		corp, err = readCorp(it)
	}
	if err != nil {
		return archive.Corp{}, fmt.Errorf("read corp %s: %w", id, err)
	}
	return corp, nil
}

// Corps lists all corps from an index, which may lag by some seconds.
func (c *Corps) Corps(ctx context.Context) iter.Seq2[archive.Corp, error] {
	return func(yield func(archive.Corp, error) bool) {
		in := dynamodb.QueryInput{
			IndexName:                 aws.String(registry),
			KeyConditionExpression:    aws.String(registry + " = :value"),
			ExpressionAttributeValues: item{":value": text(registryValue)},
		}
		for it, err := range c.query(ctx, c.client, in) {
			var corp archive.Corp
			if err == nil {
				corp, err = readCorp(it)
			}
			if err != nil {
				yield(archive.Corp{}, fmt.Errorf("list corps: %w", err))
				return
			}
			if !yield(corp, nil) {
				return
			}
		}
	}
}

// CreateCorp registers a corp as given; [archive.ErrExists] if it is registered.
func (c *Corps) CreateCorp(ctx context.Context, corp archive.Corp) error {
	it, err := encode(corp.ID, corpSK, corpItem(corp))
	if err != nil {
		return err
	}
	it[registry] = text(registryValue)
	if err := c.create(ctx, c.client, it); err != nil {
		return fmt.Errorf("register corp %s: %w", corp.ID, err)
	}
	return nil
}

// Rename sets the corp's name.
func (c *Corps) Rename(ctx context.Context, id, name string) error {
	err := c.update(ctx, id, corpSK, change{
		set:    "SET #name = :name",
		names:  map[string]string{"#name": "name"},
		values: item{":name": text(name)},
	})
	if err != nil {
		return fmt.Errorf("rename corp %s: %w", id, err)
	}
	return nil
}

// SetEnabled switches the pulls on or off, and records who did so, and why. Only
// the first switch-on sets EnabledAt to at: switching off and on again does not
// restart the hours left.
func (c *Corps) SetEnabled(ctx context.Context, id string, enabled bool, by, reason string, at time.Time) error {
	changes := []change{{
		set:    "SET enabled = :enabled, state_at = :at, state_by = :by, state_reason = :reason",
		values: item{":enabled": flag(enabled), ":at": moment(at), ":by": text(by), ":reason": text(reason)},
	}}
	if enabled { // the time is written first: after a crash every enabled corp has a time
		changes = slices.Insert(changes, 0, change{
			set:    "SET enabled_at = :at",
			only:   "enabled_at = :never",
			values: item{":at": moment(at), ":never": moment(time.Time{})},
		})
	}
	for _, ch := range changes {
		if err := c.update(ctx, id, corpSK, ch); err != nil {
			return fmt.Errorf("switch corp %s: %w", id, err)
		}
	}
	return nil
}

// SetSecret records that an archive secret is being saved. prefix is the beginning of
// the secret, see [archive.Corp].
func (c *Corps) SetSecret(ctx context.Context, id, prefix string, at time.Time) error {
	err := c.update(ctx, id, corpSK, change{
		set:    "SET secret_prefix = :prefix, secret_set_at = :at, secret_digest = :none, open_ok_at = :never, open_refused_at = :never, open_cause = :none, open_code = :zero",
		values: item{":prefix": text(prefix), ":at": moment(at), ":never": moment(time.Time{}), ":none": text(""), ":zero": number(0)},
	})
	if err != nil {
		return fmt.Errorf("record the secret of corp %s: %w", id, err)
	}
	return nil
}

// NoteSecret records that the secret store has the secret that was saved at setAt.
// It changes nothing if another secret was saved meanwhile.
func (c *Corps) NoteSecret(ctx context.Context, id string, setAt time.Time, d secret.Digest) error {
	err := c.update(ctx, id, corpSK, change{
		set:    "SET secret_digest = :digest",
		only:   "secret_set_at = :set_at",
		values: item{":digest": text(string(d)), ":set_at": moment(setAt)},
	})
	if err != nil {
		return fmt.Errorf("record the digest of the secret of corp %s: %w", id, err)
	}
	return nil
}

// NoteOpen records what WeCom answered on the open way about the secret that was
// saved at setAt. It changes nothing if another secret was saved meanwhile.
func (c *Corps) NoteOpen(ctx context.Context, id string, setAt time.Time, answer archive.OpenAnswer) error {
	err := c.update(ctx, id, corpSK, change{
		set:  "SET open_ok_at = :ok, open_refused_at = :refused, open_cause = :cause, open_code = :code",
		only: "secret_set_at = :set_at",
		values: item{
			":ok": moment(answer.OKAt), ":refused": moment(answer.RefusedAt), ":cause": text(string(answer.Cause)), ":code": number(answer.Code), ":set_at": moment(setAt),
		},
	})
	if err != nil {
		return fmt.Errorf("record an answer about the secret of corp %s: %w", id, err)
	}
	return nil
}

// TouchCallback records that an authentic callback came, unless the recorded time
// is less than [archive.CallbackTouch] older than at.
func (c *Corps) TouchCallback(ctx context.Context, id string, at time.Time) error {
	err := c.update(ctx, id, corpSK, change{
		set:    "SET callback_at = :at",
		only:   "callback_at <= :old",
		values: item{":at": moment(at), ":old": moment(at.Add(-archive.CallbackTouch))},
	})
	if err != nil {
		return fmt.Errorf("record a callback of corp %s: %w", id, err)
	}
	return nil
}

// AddKey stores a new key and, with makeCurrent, makes it the corp's current key,
// in one transaction. It returns [archive.ErrExists] if a key with this id is
// stored; this error takes precedence over the next. It returns
// [archive.ErrConflict] if makeCurrent is set and the current key is not
// prevCurrent. After an error nothing has changed.
func (c *Corps) AddKey(ctx context.Context, id string, k archive.Key, makeCurrent bool, prevCurrent string) error {
	it, err := encode(id, keyPrefix+k.ID, keyItem(k))
	if err != nil {
		return err
	}
	corp := types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
		TableName: &c.name, Key: key(id, corpSK), ConditionExpression: aws.String(present),
	}}
	if makeCurrent {
		corp = types.TransactWriteItem{Update: &types.Update{
			TableName:                 &c.name,
			Key:                       key(id, corpSK),
			UpdateExpression:          aws.String("SET current_key = :key"),
			ConditionExpression:       aws.String("current_key = :prev"),
			ExpressionAttributeValues: item{":key": text(k.ID), ":prev": text(prevCurrent)},
			// The stored item distinguishes a corp with another current key from an
			// absent corp.
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		}}
	}
	err = untilQuiet(ctx, func() error {
		return c.transact(ctx, c.client, c.putNew(it), corp)
	})
	switch at, now := failedAt(err); {
	case at == 0:
		err = archive.ErrExists
	case at == 1 && len(now) > 0:
		err = archive.ErrConflict
	case at == 1:
		err = archive.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("add key %s of corp %s: %w", k.ID, id, err)
	}
	return nil
}

// Claim records the version that a person typed for a key; 0 removes the claim.
func (c *Corps) Claim(ctx context.Context, id, keyID string, version uint32, by string, at time.Time) error {
	if version == 0 {
		by, at = "", time.Time{}
	}
	err := c.update(ctx, id, keyPrefix+keyID, change{
		set:    "SET claimed_version = :version, claimed_by = :by, claimed_at = :at",
		values: item{":version": number(version), ":by": text(by), ":at": moment(at)},
	})
	if err != nil {
		return fmt.Errorf("claim version %d for key %s of corp %s: %w", version, keyID, id, err)
	}
	return nil
}

// TouchKey implements [decode.Keys].
func (c *Corps) TouchKey(ctx context.Context, id, keyID string, at time.Time) error {
	err := c.update(ctx, id, keyPrefix+keyID, change{
		set:    "SET last_used_at = :at",
		only:   "last_used_at < :at",
		values: item{":at": moment(at)},
	})
	if err != nil {
		return fmt.Errorf("note the use of key %s of corp %s: %w", keyID, id, err)
	}
	return nil
}

// NoteRetried notes that the job that tries an imported key is requested.
func (c *Corps) NoteRetried(ctx context.Context, id, keyID string) error {
	err := c.update(ctx, id, keyPrefix+keyID, change{
		set:    "SET retried = :yes",
		values: item{":yes": &types.AttributeValueMemberBOOL{Value: true}},
	})
	if err != nil {
		return fmt.Errorf("note the retry of key %s of corp %s: %w", keyID, id, err)
	}
	return nil
}

// KeySet reads all keys and bindings of a corp consistently.
func (c *Corps) KeySet(ctx context.Context, corp string) (archive.KeySet, error) {
	var set archive.KeySet
	for it, err := range c.query(ctx, c.client, consistently(startingWith(corp, keysPrefix))) {
		switch {
		case err != nil:
		case strings.HasPrefix(keyOf(it, "sk"), keyPrefix):
			var k keyItem
			k, err = readItem[keyItem](it)
			set.Keys = append(set.Keys, archive.Key(k))
		default:
			var b bindingItem
			b, err = readItem[bindingItem](it)
			set.Bindings = append(set.Bindings, archive.Binding(b))
		}
		if err != nil {
			return archive.KeySet{}, fmt.Errorf("read the keys of corp %s: %w", corp, err)
		}
	}
	slices.SortStableFunc(set.Keys, func(a, b archive.Key) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return set, nil
}

// Bind records that a key opened a message of a version; [archive.ErrExists] if
// the version is bound.
func (c *Corps) Bind(ctx context.Context, corp string, b archive.Binding) error {
	it, err := encode(corp, fmt.Sprintf("%s%010d", bindingPrefix, b.Version), bindingItem(b))
	if err != nil {
		return err
	}
	if err := c.create(ctx, c.client, it); err != nil {
		return fmt.Errorf("bind version %d of corp %s: %w", b.Version, corp, err)
	}
	return nil
}

// KeyQuota reads the corp's quota of keys consistently. A corp that used
// nothing of it has [archive.NewKeyQuota].
func (c *Corps) KeyQuota(ctx context.Context, id string) (archive.KeyQuota, error) {
	it, err := c.get(ctx, c.client, key(id, keyQuotaSK))
	if errors.Is(err, archive.ErrNotFound) {
		return archive.NewKeyQuota(), nil
	}
	var q keyQuotaItem
	if err == nil {
		q, err = readItem[keyQuotaItem](it)
	}
	if err != nil {
		return archive.KeyQuota{}, fmt.Errorf("read the key quota of corp %s: %w", id, err)
	}
	return archive.KeyQuota(q), nil
}

// SaveKeyQuota replaces the quota that has the same Rev;
// [archive.ErrConflict] if the stored quota has another.
func (c *Corps) SaveKeyQuota(ctx context.Context, id string, q archive.KeyQuota) error {
	in := dynamodb.PutItemInput{ConditionExpression: aws.String(absent)}
	if q.Rev > 0 {
		in.ConditionExpression, in.ExpressionAttributeValues = aws.String("rev = :was"), item{":was": number(q.Rev)}
	}
	q.Rev++
	var err error
	if in.Item, err = encode(id, keyQuotaSK, keyQuotaItem(q)); err != nil {
		return err
	}
	err = c.putIf(ctx, c.client, in)
	if _, failed := conditionFailed(err); failed {
		err = archive.ErrConflict
	}
	if err != nil {
		return fmt.Errorf("save the key quota of corp %s: %w", id, err)
	}
	return nil
}

// change is an update of an item.
type change struct {
	set    string // the update expression
	only   string // a condition; if it fails, nothing changes and update returns nil
	names  map[string]string
	values item
}

// update changes an item; [archive.ErrNotFound] if it is absent.
func (c *Corps) update(ctx context.Context, pk, sk string, ch change) error {
	condition := present
	if ch.only != "" {
		condition += " AND " + ch.only
	}
	return untilQuiet(ctx, func() error {
		out, err := c.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName:                           &c.name,
			Key:                                 key(pk, sk),
			UpdateExpression:                    &ch.set,
			ConditionExpression:                 &condition,
			ExpressionAttributeNames:            ch.names,
			ExpressionAttributeValues:           ch.values,
			ReturnConsumedCapacity:              c.capacity(),
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		})
		if now, failed := conditionFailed(err); failed {
			if len(now) == 0 {
				return archive.ErrNotFound
			}
			return nil
		}
		if err != nil {
			return err
		}
		c.wrote("UpdateItem", one(out.ConsumedCapacity))
		return nil
	})
}
