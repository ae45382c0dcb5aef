package dynamostore

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"golang.org/x/sync/errgroup"

	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/directory"
	"github.com/yunduo-scrm/archive/shared/secret"
)

// ContactsClient lists the methods of the SDK's client that [Contacts] calls.
type ContactsClient interface {
	batchGetClient
	putClient
	queryClient
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
}

// Contacts is the table of people and rooms, and of a corp's access to WeCom's
// HTTP API:
//
//	<corp>  person#<id>       a person: what the SCRM gave, what WeCom answered, when the archive asked
//	<corp>  room#<id>         a room: the same
//	<corp>  reach#app         the self-built app
//	<corp>  reach#access#<a>  the result of the last calls through an access
//	<corp>  reach#scope       the members whose chats are archived
//	<corp>  reach#checked     the time of the last check
//	<corp>#scope  <ms>#<n>    changes of the scope that a check found
//
// What the SCRM gave, what WeCom answered and when the archive asked are
// attributes of one item. Each attribute has an update of its own, so the SCRM, the
// inspector and the readers never overwrite one another.
type Contacts struct {
	table
	client ContactsClient
}

// NewContacts uses the table of that name.
func NewContacts(client ContactsClient, table string, options ...Option) *Contacts {
	return &Contacts{table: newTable(table, options), client: client}
}

var (
	_ directory.Store     = (*Contacts)(nil)
	_ directory.NameAsker = (*Contacts)(nil)
	_ directory.NameGiver = (*Contacts)(nil)
)

const (
	personPrefix = "person#"
	roomPrefix   = "room#"
	reachPrefix  = "reach#"
	appSK        = reachPrefix + "app"
	accessPrefix = reachPrefix + "access#"
	scopeSK      = reachPrefix + "scope"
	checkedSK    = reachPrefix + "checked"

	// updatesAtOnce bounds the single updates of one call.
	updatesAtOnce = 16
)

type (
	// knownItem is an item of a person or room; F holds its fields.
	knownItem[F personFields | roomFields] struct {
		ID      string    `dynamodbav:"id"`
		Given   *F        `dynamodbav:"given"`
		Fetched *F        `dynamodbav:"fetched"`
		AskedAt time.Time `dynamodbav:"asked"`
	}
	originFields struct {
		Source  directory.NameSource `dynamodbav:"source"`
		At      time.Time            `dynamodbav:"at"`
		Missing directory.Missing    `dynamodbav:"missing,omitempty"`
	}
	personFields struct {
		Kind    directory.PersonKind `dynamodbav:"kind"`
		Name    string               `dynamodbav:"name"`
		Avatar  string               `dynamodbav:"avatar,omitempty"`
		Company string               `dynamodbav:"company,omitempty"`
		originFields
	}
	roomFields struct {
		Kind      directory.RoomKind `dynamodbav:"kind"`
		Name      string             `dynamodbav:"name"`
		Owner     string             `dynamodbav:"owner,omitempty"`
		CreatedAt time.Time          `dynamodbav:"created"`
		Members   []roomMember       `dynamodbav:"members,omitempty"`
		originFields
	}
	roomMember struct {
		ID   string `dynamodbav:"id"`
		Name string `dynamodbav:"name,omitempty"`
	}

	appItem struct {
		AgentID      string        `dynamodbav:"agent_id"`
		SecretPrefix string        `dynamodbav:"secret_prefix"`
		SetAt        time.Time     `dynamodbav:"set_at"`
		SecretDigest secret.Digest `dynamodbav:"secret_digest"`
	}
	scopeItem struct {
		Count    int                       `dynamodbav:"count"`
		Members  []string                  `dynamodbav:"members"`
		Editions map[directory.Edition]int `dynamodbav:"editions"`
		At       time.Time                 `dynamodbav:"at"`
	}
	checkedItem struct {
		At time.Time `dynamodbav:"at"`
	}
)

func packPerson(p directory.Person) personFields {
	return personFields{Kind: p.Kind, Name: p.Name, Avatar: p.Avatar, Company: p.Company, originFields: originFields(p.Origin)}
}

func (f *personFields) unpack(id string) *directory.Person {
	if f == nil {
		return nil
	}
	return &directory.Person{ID: id, Kind: f.Kind, Name: f.Name, Avatar: f.Avatar, Company: f.Company, Origin: directory.Origin(f.originFields)}
}

func packRoom(r directory.Room) roomFields {
	f := roomFields{Kind: r.Kind, Name: r.Name, Owner: r.Owner, CreatedAt: r.CreatedAt, originFields: originFields(r.Origin)}
	for _, m := range r.Members {
		f.Members = append(f.Members, roomMember(m))
	}
	return f
}

func (f *roomFields) unpack(id string) *directory.Room {
	if f == nil {
		return nil
	}
	r := &directory.Room{ID: id, Kind: f.Kind, Name: f.Name, Owner: f.Owner, CreatedAt: f.CreatedAt, Origin: directory.Origin(f.originFields)}
	for _, m := range f.Members {
		r.Members = append(r.Members, directory.RoomMember(m))
	}
	return r
}

func readPerson(it item) (string, directory.Known[directory.Person], error) {
	k, err := readItem[knownItem[personFields]](it)
	return k.ID, directory.Known[directory.Person]{Given: k.Given.unpack(k.ID), Fetched: k.Fetched.unpack(k.ID), AskedAt: k.AskedAt}, err
}

func readRoom(it item) (string, directory.Known[directory.Room], error) {
	k, err := readItem[knownItem[roomFields]](it)
	return k.ID, directory.Known[directory.Room]{Given: k.Given.unpack(k.ID), Fetched: k.Fetched.unpack(k.ID), AskedAt: k.AskedAt}, err
}

// People implements [directory.NameReader].
func (c *Contacts) People(ctx context.Context, corp string, ids []string) (map[string]directory.Known[directory.Person], error) {
	return known(ctx, c, corp, personPrefix, ids, readPerson)
}

// Rooms implements [directory.NameReader].
func (c *Contacts) Rooms(ctx context.Context, corp string, ids []string) (map[string]directory.Known[directory.Room], error) {
	return known(ctx, c, corp, roomPrefix, ids, readRoom)
}

func known[K any](ctx context.Context, c *Contacts, corp, prefix string, ids []string, read func(item) (string, K, error)) (map[string]K, error) {
	keys := make([]item, 0, len(ids))
	for _, id := range ids {
		keys = append(keys, key(corp, prefix+part(id)))
	}
	items, err := c.readAll(ctx, c.client, keys)
	found := make(map[string]K, len(items))
	for _, it := range items {
		var id string
		var k K
		if id, k, err = read(it); err != nil {
			break
		}
		found[id] = k
	}
	if err != nil {
		return nil, fmt.Errorf("read names of corp %s: %w", corp, err)
	}
	return found, nil
}

// ListPeople lists all people with an item, in the order of their keys, at most
// limit. cursor and next are as for [Readings.Readings].
func (c *Contacts) ListPeople(ctx context.Context, corp, cursor string, limit int) (_ []directory.Person, next string, _ error) {
	list, next, err := listPage(c.list(ctx, corp, personPrefix, cursor, limit+1), limit, func(it item) (directory.Person, error) {
		id, k, err := readPerson(it)
		return directory.BestPerson(id, k), err
	})
	if err != nil {
		return nil, "", fmt.Errorf("list people of corp %s: %w", corp, err)
	}
	return list, next, nil
}

// ListRooms is like [Contacts.ListPeople].
func (c *Contacts) ListRooms(ctx context.Context, corp, cursor string, limit int) (_ []directory.Room, next string, _ error) {
	list, next, err := listPage(c.list(ctx, corp, roomPrefix, cursor, limit+1), limit, func(it item) (directory.Room, error) {
		id, k, err := readRoom(it)
		return directory.BestRoom(id, k), err
	})
	if err != nil {
		return nil, "", fmt.Errorf("list rooms of corp %s: %w", corp, err)
	}
	return list, next, nil
}

// keysEnd sorts after every character that an escaped id can have.
const keysEnd = "\x7f"

// list reads the first n items whose keys have a prefix and follow cursor.
func (c *Contacts) list(ctx context.Context, corp, prefix, cursor string, n int) iter.Seq2[item, error] {
	end := prefix + keysEnd
	return c.first(ctx, c.client, n, within(corp, after(prefix, end, cursor), end))
}

// SavePerson implements [directory.NameKeeper].
func (c *Contacts) SavePerson(ctx context.Context, corp string, p directory.Person) error {
	return c.set(ctx, corp, personPrefix, p.ID, "fetched", packPerson(p))
}

// SaveRoom implements [directory.NameKeeper].
func (c *Contacts) SaveRoom(ctx context.Context, corp string, r directory.Room) error {
	return c.set(ctx, corp, roomPrefix, r.ID, "fetched", packRoom(r))
}

// GivePeople implements [directory.NameGiver].
func (c *Contacts) GivePeople(ctx context.Context, corp string, people []directory.Person) error {
	return each(ctx, people, func(ctx context.Context, p directory.Person) error {
		if p.Name == "" {
			return c.unset(ctx, corp, personPrefix, p.ID, "given")
		}
		return c.set(ctx, corp, personPrefix, p.ID, "given", packPerson(p))
	})
}

// GiveRooms implements [directory.NameGiver].
func (c *Contacts) GiveRooms(ctx context.Context, corp string, rooms []directory.Room) error {
	return each(ctx, rooms, func(ctx context.Context, r directory.Room) error {
		if r.Name == "" {
			return c.unset(ctx, corp, roomPrefix, r.ID, "given")
		}
		return c.set(ctx, corp, roomPrefix, r.ID, "given", packRoom(r))
	})
}

// each calls do for every element of list, some at a time, and stops at the first
// error. Then any of the elements may be done.
func each[T any](ctx context.Context, list []T, do func(context.Context, T) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(updatesAtOnce)
	for _, v := range list {
		group.Go(func() error { return do(ctx, v) })
	}
	return group.Wait()
}

// set replaces one attribute of an item. It creates an absent item.
func (c *Contacts) set(ctx context.Context, corp, prefix, id, name string, fields any) error {
	value, err := attribute(fields)
	if err != nil {
		return err
	}
	_, err = c.upsert(ctx, key(corp, prefix+part(id)), dynamodb.UpdateItemInput{
		UpdateExpression:          aws.String("SET id = :id, v = :v, #attr = :value"),
		ExpressionAttributeNames:  map[string]string{"#attr": name},
		ExpressionAttributeValues: item{":id": text(id), ":v": number(formatVersion), ":value": value},
	})
	if err != nil {
		return fmt.Errorf("write %s%s of corp %s: %w", prefix, id, corp, err)
	}
	return nil
}

// unset removes one attribute of an item. An absent item stays absent.
func (c *Contacts) unset(ctx context.Context, corp, prefix, id, name string) error {
	_, err := c.upsert(ctx, key(corp, prefix+part(id)), dynamodb.UpdateItemInput{
		UpdateExpression:         aws.String("REMOVE #attr"),
		ConditionExpression:      aws.String(present),
		ExpressionAttributeNames: map[string]string{"#attr": name},
	})
	if err != nil {
		return fmt.Errorf("remove a given name %s%s of corp %s: %w", prefix, id, corp, err)
	}
	return nil
}

// AskPerson implements [directory.NameAsker].
func (c *Contacts) AskPerson(ctx context.Context, corp, id string, at, since time.Time) (bool, error) {
	return c.ask(ctx, corp, personPrefix, id, at, since)
}

// AskRoom implements [directory.NameAsker].
func (c *Contacts) AskRoom(ctx context.Context, corp, id string, at, since time.Time) (bool, error) {
	return c.ask(ctx, corp, roomPrefix, id, at, since)
}

func (c *Contacts) ask(ctx context.Context, corp, prefix, id string, at, since time.Time) (bool, error) {
	done, err := c.upsert(ctx, key(corp, prefix+part(id)), dynamodb.UpdateItemInput{
		UpdateExpression:          aws.String("SET id = :id, v = :v, asked = :at"),
		ConditionExpression:       aws.String("attribute_not_exists(asked) OR asked < :since"),
		ExpressionAttributeValues: item{":id": text(id), ":v": number(formatVersion), ":at": moment(at), ":since": moment(since)},
	})
	if err != nil {
		return false, fmt.Errorf("record a question for %s%s of corp %s: %w", prefix, id, corp, err)
	}
	return done, nil
}

// upsert updates an item or creates it. done is false if its condition failed.
func (c *Contacts) upsert(ctx context.Context, key item, in dynamodb.UpdateItemInput) (done bool, _ error) {
	in.TableName, in.Key, in.ReturnConsumedCapacity = &c.name, key, c.capacity()
	err := untilQuiet(ctx, func() error {
		out, err := c.client.UpdateItem(ctx, &in)
		if err == nil {
			c.wrote("UpdateItem", one(out.ConsumedCapacity))
		}
		return err
	})
	if _, failed := conditionFailed(err); failed {
		return false, nil
	}
	return err == nil, err
}

// Reach implements [directory.ReachReader], reading consistently.
func (c *Contacts) Reach(ctx context.Context, corp string) (directory.Reach, error) {
	s := directory.Reach{Access: make(map[directory.Access]archive.Standing)}
	for it, err := range c.query(ctx, c.client, consistently(startingWith(corp, reachPrefix))) {
		if err == nil {
			err = readReach(it, &s)
		}
		if err != nil {
			return directory.Reach{}, fmt.Errorf("read the API access of corp %s: %w", corp, err)
		}
	}
	return s, nil
}

func readReach(it item, s *directory.Reach) error {
	switch sk := keyOf(it, "sk"); {
	case sk == appSK:
		a, err := readItem[appItem](it)
		s.App = directory.App(a)
		return err
	case sk == scopeSK:
		scope, err := readItem[scopeItem](it)
		s.Scope = (*directory.Scope)(&scope)
		return err
	case sk == checkedSK:
		checked, err := readItem[checkedItem](it)
		s.CheckedAt = checked.At
		return err
	case strings.HasPrefix(sk, accessPrefix):
		standing, err := readItem[standingItem](it)
		s.Access[directory.Access(strings.TrimPrefix(sk, accessPrefix))] = standing.standing()
		return err
	}
	return nil
}

// SetApp records the settings of the self-built app.
func (c *Contacts) SetApp(ctx context.Context, corp string, a directory.App) error {
	return c.putReach(ctx, corp, appSK, appItem(a))
}

// NoteAppSecret records settings of the app with the digest of the secret that was
// saved at their time. It changes nothing if another secret was saved meanwhile.
func (c *Contacts) NoteAppSecret(ctx context.Context, corp string, a directory.App) error {
	it, err := encode(corp, appSK, appItem(a))
	if err == nil {
		err = c.putIf(ctx, c.client, dynamodb.PutItemInput{
			Item: it, ConditionExpression: aws.String("set_at = :set_at"), ExpressionAttributeValues: item{":set_at": moment(a.SetAt)},
		})
	}
	if _, failed := conditionFailed(err); err != nil && !failed {
		return fmt.Errorf("record the digest of the app's secret of corp %s: %w", corp, err)
	}
	return nil
}

// SaveAccess implements [directory.ReachWriter].
func (c *Contacts) SaveAccess(ctx context.Context, corp string, a directory.Access, s archive.Standing) error {
	return c.putReach(ctx, corp, accessPrefix+string(a), newStandingItem(s))
}

// SaveScope implements [directory.ReachWriter].
func (c *Contacts) SaveScope(ctx context.Context, corp string, s directory.Scope) error {
	return c.putReach(ctx, corp, scopeSK, scopeItem(s))
}

// SaveChecked implements [directory.ReachWriter].
func (c *Contacts) SaveChecked(ctx context.Context, corp string, at time.Time) error {
	return c.putReach(ctx, corp, checkedSK, checkedItem{at})
}

func (c *Contacts) putReach(ctx context.Context, corp, sk string, attributes any) error {
	it, err := encode(corp, sk, attributes)
	if err == nil {
		err = c.put(ctx, c.client, it)
	}
	if err != nil {
		return fmt.Errorf("save %s of corp %s: %w", sk, corp, err)
	}
	return nil
}
