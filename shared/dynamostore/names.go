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
)

// ContactsClient is what [Contacts] uses of the SDK's client.
type ContactsClient interface {
	batchGetClient
	putClient
	queryClient
	UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
}

// Contacts is the table of people and rooms, and of how we stand with WeCom's
// HTTP API:
//
//	<corp>  person#<id>          what the SCRM gave, what WeCom told, when it was asked
//	<corp>  room#<id>            the same
//	<corp>  reach#app         the self-built app
//	<corp>  reach#access#<a>  what the last questions through an access found
//	<corp>  reach#scope       who is archived
//	<corp>  reach#checked
//
// What is given, what is told and when it was asked are attributes of one item,
// each written by an update of its own: the SCRM, the inspector and the readers
// never overwrite one another.
type Contacts struct {
	table
	client ContactsClient
}

// NewContacts uses the table of that name.
func NewContacts(client ContactsClient, table string, options ...Option) *Contacts {
	return &Contacts{table: newTable(table, options), client: client}
}

var (
	_ archive.InspectStore = (*Contacts)(nil)
	_ archive.NameAsker    = (*Contacts)(nil)
	_ archive.NameGiver    = (*Contacts)(nil)
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
		Source  archive.NameSource `dynamodbav:"source"`
		At      time.Time          `dynamodbav:"at"`
		Missing archive.Missing    `dynamodbav:"missing,omitempty"`
	}
	personFields struct {
		Kind    archive.PersonKind `dynamodbav:"kind"`
		Name    string             `dynamodbav:"name"`
		Avatar  string             `dynamodbav:"avatar,omitempty"`
		Company string             `dynamodbav:"company,omitempty"`
		originFields
	}
	roomFields struct {
		Kind      archive.RoomKind `dynamodbav:"kind"`
		Name      string           `dynamodbav:"name"`
		Owner     string           `dynamodbav:"owner,omitempty"`
		CreatedAt time.Time        `dynamodbav:"created"`
		Members   []roomMember     `dynamodbav:"members,omitempty"`
		originFields
	}
	roomMember struct {
		ID   string `dynamodbav:"id"`
		Name string `dynamodbav:"name,omitempty"`
	}

	appItem struct {
		AgentID      string    `dynamodbav:"agent_id"`
		SecretPrefix string    `dynamodbav:"secret_prefix"`
		SetAt        time.Time `dynamodbav:"set_at"`
	}
	accessItem struct {
		SecretSetAt time.Time    `dynamodbav:"secret_set_at"`
		OKAt        time.Time    `dynamodbav:"ok_at"`
		Trouble     *troubleItem `dynamodbav:"trouble,omitempty"`
		NotBefore   time.Time    `dynamodbav:"not_before"`
		Refusals    int          `dynamodbav:"refusals"`
	}
	scopeItem struct {
		Count   int       `dynamodbav:"count"`
		Members []string  `dynamodbav:"members"`
		At      time.Time `dynamodbav:"at"`
	}
	checkedItem struct {
		At time.Time `dynamodbav:"at"`
	}
)

func packPerson(p archive.Person) personFields {
	return personFields{Kind: p.Kind, Name: p.Name, Avatar: p.Avatar, Company: p.Company, originFields: originFields(p.Origin)}
}

func (f *personFields) unpack(id string) *archive.Person {
	if f == nil {
		return nil
	}
	return &archive.Person{ID: id, Kind: f.Kind, Name: f.Name, Avatar: f.Avatar, Company: f.Company, Origin: archive.Origin(f.originFields)}
}

func packRoom(r archive.Room) roomFields {
	f := roomFields{Kind: r.Kind, Name: r.Name, Owner: r.Owner, CreatedAt: r.CreatedAt, originFields: originFields(r.Origin)}
	for _, m := range r.Members {
		f.Members = append(f.Members, roomMember(m))
	}
	return f
}

func (f *roomFields) unpack(id string) *archive.Room {
	if f == nil {
		return nil
	}
	r := &archive.Room{ID: id, Kind: f.Kind, Name: f.Name, Owner: f.Owner, CreatedAt: f.CreatedAt, Origin: archive.Origin(f.originFields)}
	for _, m := range f.Members {
		r.Members = append(r.Members, archive.RoomMember(m))
	}
	return r
}

func readPerson(it item) (string, archive.Known[archive.Person], error) {
	k, err := decode[knownItem[personFields]](it)
	return k.ID, archive.Known[archive.Person]{Given: k.Given.unpack(k.ID), Fetched: k.Fetched.unpack(k.ID), AskedAt: k.AskedAt}, err
}

func readRoom(it item) (string, archive.Known[archive.Room], error) {
	k, err := decode[knownItem[roomFields]](it)
	return k.ID, archive.Known[archive.Room]{Given: k.Given.unpack(k.ID), Fetched: k.Fetched.unpack(k.ID), AskedAt: k.AskedAt}, err
}

// People implements [archive.NameReader].
func (c *Contacts) People(ctx context.Context, corp string, ids []string) (map[string]archive.Known[archive.Person], error) {
	return known(ctx, c, corp, personPrefix, ids, readPerson)
}

// Rooms implements [archive.NameReader].
func (c *Contacts) Rooms(ctx context.Context, corp string, ids []string) (map[string]archive.Known[archive.Room], error) {
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
		return nil, fmt.Errorf("reading names of corp %s: %w", corp, err)
	}
	return found, nil
}

// ListPeople lists people of whom something is known, in the order of their
// keys, at most limit; cursor and next are as for [Views.Views].
func (c *Contacts) ListPeople(ctx context.Context, corp, cursor string, limit int) (list []archive.Person, next string, _ error) {
	for it, err := range c.list(ctx, corp, personPrefix, cursor, limit+1) {
		var id string
		var k archive.Known[archive.Person]
		if err == nil {
			id, k, err = readPerson(it)
		}
		if err != nil {
			return nil, "", fmt.Errorf("listing people of corp %s: %w", corp, err)
		}
		if len(list) == limit {
			return list, next, nil
		}
		list, next = append(list, archive.BestPerson(id, k)), keyOf(it, "sk")
	}
	return list, "", nil
}

// ListRooms is like [Contacts.ListPeople].
func (c *Contacts) ListRooms(ctx context.Context, corp, cursor string, limit int) (list []archive.Room, next string, _ error) {
	for it, err := range c.list(ctx, corp, roomPrefix, cursor, limit+1) {
		var id string
		var k archive.Known[archive.Room]
		if err == nil {
			id, k, err = readRoom(it)
		}
		if err != nil {
			return nil, "", fmt.Errorf("listing rooms of corp %s: %w", corp, err)
		}
		if len(list) == limit {
			return list, next, nil
		}
		list, next = append(list, archive.BestRoom(id, k)), keyOf(it, "sk")
	}
	return list, "", nil
}

// keysEnd sorts after every character that an escaped id can have.
const keysEnd = "\x7f"

// list selects what lies behind cursor among the keys with a prefix.
func (c *Contacts) list(ctx context.Context, corp, prefix, cursor string, limit int) iter.Seq2[item, error] {
	end := prefix + keysEnd
	return atMost(limit, c.query(ctx, c.client, within(corp, after(prefix, end, cursor), end)))
}

// SavePerson implements [archive.NameKeeper].
func (c *Contacts) SavePerson(ctx context.Context, corp string, p archive.Person) error {
	return c.set(ctx, corp, personPrefix, p.ID, "fetched", packPerson(p))
}

// SaveRoom implements [archive.NameKeeper].
func (c *Contacts) SaveRoom(ctx context.Context, corp string, r archive.Room) error {
	return c.set(ctx, corp, roomPrefix, r.ID, "fetched", packRoom(r))
}

// GivePeople implements [archive.NameGiver].
func (c *Contacts) GivePeople(ctx context.Context, corp string, people []archive.Person) error {
	return each(ctx, people, func(ctx context.Context, p archive.Person) error {
		if p.Name == "" {
			return c.unset(ctx, corp, personPrefix, p.ID, "given")
		}
		return c.set(ctx, corp, personPrefix, p.ID, "given", packPerson(p))
	})
}

// GiveRooms implements [archive.NameGiver].
func (c *Contacts) GiveRooms(ctx context.Context, corp string, rooms []archive.Room) error {
	return each(ctx, rooms, func(ctx context.Context, r archive.Room) error {
		if r.Name == "" {
			return c.unset(ctx, corp, roomPrefix, r.ID, "given")
		}
		return c.set(ctx, corp, roomPrefix, r.ID, "given", packRoom(r))
	})
}

// each does do for all of list, some at a time, and stops at the first error.
func each[T any](ctx context.Context, list []T, do func(context.Context, T) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(updatesAtOnce)
	for _, v := range list {
		group.Go(func() error { return do(ctx, v) })
	}
	return group.Wait()
}

// set replaces one attribute of an item, which is made if it is not there.
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
		return fmt.Errorf("writing %s%s of corp %s: %w", prefix, id, corp, err)
	}
	return nil
}

// unset removes one attribute of an item, if that is there.
func (c *Contacts) unset(ctx context.Context, corp, prefix, id, name string) error {
	_, err := c.upsert(ctx, key(corp, prefix+part(id)), dynamodb.UpdateItemInput{
		UpdateExpression:         aws.String("REMOVE #attr"),
		ConditionExpression:      aws.String(present),
		ExpressionAttributeNames: map[string]string{"#attr": name},
	})
	if err != nil {
		return fmt.Errorf("taking back %s%s of corp %s: %w", prefix, id, corp, err)
	}
	return nil
}

// AskPerson implements [archive.NameAsker].
func (c *Contacts) AskPerson(ctx context.Context, corp, id string, at, since time.Time) (bool, error) {
	return c.ask(ctx, corp, personPrefix, id, at, since)
}

// AskRoom implements [archive.NameAsker].
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
		return false, fmt.Errorf("noting that %s%s of corp %s is asked for: %w", prefix, id, corp, err)
	}
	return done, nil
}

// upsert updates an item or makes it; false if its condition did not hold.
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

// Reach implements [archive.ReachReader], reading consistently.
func (c *Contacts) Reach(ctx context.Context, corp string) (archive.Reach, error) {
	s := archive.Reach{Access: make(map[archive.Access]archive.AccessState)}
	for it, err := range c.query(ctx, c.client, consistently(startingWith(corp, reachPrefix))) {
		if err == nil {
			err = readReach(it, &s)
		}
		if err != nil {
			return archive.Reach{}, fmt.Errorf("reading how corp %s stands: %w", corp, err)
		}
	}
	return s, nil
}

func readReach(it item, s *archive.Reach) error {
	switch sk := keyOf(it, "sk"); {
	case sk == appSK:
		a, err := decode[appItem](it)
		s.App = archive.App(a)
		return err
	case sk == scopeSK:
		scope, err := decode[scopeItem](it)
		s.Scope = (*archive.Scope)(&scope)
		return err
	case sk == checkedSK:
		checked, err := decode[checkedItem](it)
		s.CheckedAt = checked.At
		return err
	case strings.HasPrefix(sk, accessPrefix):
		a, err := decode[accessItem](it)
		s.Access[archive.Access(strings.TrimPrefix(sk, accessPrefix))] = archive.AccessState{
			SecretSetAt: a.SecretSetAt, OKAt: a.OKAt, Trouble: (*archive.Trouble)(a.Trouble), NotBefore: a.NotBefore, Refusals: a.Refusals,
		}
		return err
	}
	return nil
}

// SetApp notes that the secret of the self-built app was saved.
func (c *Contacts) SetApp(ctx context.Context, corp string, a archive.App) error {
	return c.putReach(ctx, corp, appSK, appItem(a))
}

// SaveAccess implements [archive.ReachWriter].
func (c *Contacts) SaveAccess(ctx context.Context, corp string, a archive.Access, s archive.AccessState) error {
	return c.putReach(ctx, corp, accessPrefix+string(a), accessItem{
		SecretSetAt: s.SecretSetAt, OKAt: s.OKAt, Trouble: (*troubleItem)(s.Trouble), NotBefore: s.NotBefore, Refusals: s.Refusals,
	})
}

// SaveScope implements [archive.ReachWriter].
func (c *Contacts) SaveScope(ctx context.Context, corp string, s archive.Scope) error {
	return c.putReach(ctx, corp, scopeSK, scopeItem(s))
}

// SaveChecked implements [archive.ReachWriter].
func (c *Contacts) SaveChecked(ctx context.Context, corp string, at time.Time) error {
	return c.putReach(ctx, corp, checkedSK, checkedItem{at})
}

func (c *Contacts) putReach(ctx context.Context, corp, sk string, attributes any) error {
	it, err := encode(corp, sk, attributes)
	if err == nil {
		err = c.put(ctx, c.client, it)
	}
	if err != nil {
		return fmt.Errorf("saving %s of corp %s: %w", sk, corp, err)
	}
	return nil
}
