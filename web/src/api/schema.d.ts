// Made from functions/api/openapi.yaml by npm run schema. Do not edit.
export interface paths {
    "/health": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Whether the API runs, and which version of it. */
        get: operations["health"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/console": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** The web console, for people. */
        get: operations["getConsole"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        /** As getConsole, without the page. */
        head: operations["headConsole"];
        patch?: never;
        trace?: never;
    };
    "/console/{file}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** A file of the web console, or its page. */
        get: operations["getConsoleFile"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        /** As getConsoleFile, without the file. */
        head: operations["headConsoleFile"];
        patch?: never;
        trace?: never;
    };
    "/callback/{corpid}": {
        parameters: {
            query?: {
                /** @description SHA-1 over the sorted token, timestamp, nonce and encrypted text. */
                msg_signature?: string;
                timestamp?: string;
                nonce?: string;
            };
            header?: never;
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        /** WeCom checks the URL when the admin saves it. */
        get: operations["verifyCallback"];
        put?: never;
        /**
         * WeCom sends an encrypted event.
         * @description WeCom sends an event up to three times until the answer is 200. A repeated event changes nothing. A `msgaudit_notify`
         *     whose CreateTime is over an hour old, or over five minutes ahead, requests no pull: it may be a replay. The archive
         *     stores 10,000 events or 16 MiB of events of a company a day, and half as much again of consents; further events are
         *     only counted.
         */
        post: operations["receiveEvent"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/callback/{corpid}/app": {
        parameters: {
            query?: {
                /** @description Like the archive's callback, with the callback pair of the app. */
                msg_signature?: string;
                timestamp?: string;
                nonce?: string;
            };
            header?: never;
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        /** WeCom checks the callback URL of the self-built app. */
        get: operations["verifyAppCallback"];
        put?: never;
        /**
         * WeCom sends an encrypted event of the self-built app.
         * @description The archive stores every event; a repeated event changes nothing. A consent (`change_external_contact` /
         *     `msg_audit_approved`) is also stored as a consent. After a change of a contact or room, the archive requests its name
         *     again if it had fetched the name before. An event beyond the day's bound of stored events is only counted;
         *     consents have a larger bound than other events.
         */
        post: operations["receiveAppEvent"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/session": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path?: never;
            cookie?: never;
        };
        /**
         * Read who the caller is, and what its token admits.
         * @description The answer follows from the token, except the name and the state of its corp. A page reads it to show only what the
         *     token may ask for.
         */
        get: operations["getSession"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        /** Read the registered corp. */
        get: operations["getCorp"];
        /**
         * Register the corp, or rename it.
         * @description Registration creates the callback pair and the first key pair. If a registration was interrupted, repeat it: the
         *     archive creates what is still absent, and sets the name.
         */
        put: operations["putCorp"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/setup": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        /** Read what the admin copies into WeCom, and what is saved. */
        get: operations["getSetup"];
        /**
         * Save the Secret, the 版本号, or both.
         * @description The archive first asks WeCom for a token with the Secret, from an address other than the trusted ones, and the
         *     answer says whether WeCom accepted the Secret. If WeCom refuses the Secret there, the archive does not use it
         *     from its trusted addresses for six hours; save the right Secret. Otherwise it pulls at once. A 版本号 is a claim
         *     about a key; messages of that version may still be to come. If a message has proved that the version belongs to
         *     another key, the answer is 409. If the version is only claimed for another key, the claim moves to this key, and
         *     `claim_moved_from` names the other key. Saving the same values again changes nothing, but the archive tries the
         *     Secret again.
         */
        put: operations["putSetup"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/keys": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Create another key pair and offer it on the set-up page.
         * @description An offered key is unused until a person enters a 版本号 for it or a message proves its version. While the offered key
         *     is unused, the answer is that key, so two clicks, or two people at once, get the same key. While two keys that were
         *     made here have not opened a message, the answer is 409 (`keys-unproved`).
         */
        post: operations["rotateKey"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/keys/import": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Import a private key that was used before.
         * @description The archive stores the key and never shows it again. The imported key does not become the offered key. The replay in
         *     the answer tries the key on the records set aside. `replay` is null if another replay of the corp runs: the records
         *     set aside are tried after it. Importing a key that is stored already changes at most its 版本号; it starts no replay,
         *     unless a crash kept the first one from being started. After a 500 the key may be stored; import it again. A company
         *     imports 20 keys a day and 100 in all (409, `imports-today` and `imports-used`); an operator can raise both.
         */
        post: operations["importKey"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/callback/rotate": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Make a new callback pair, Token and EncodingAESKey.
         * @description Enter the new pair in WeCom afterwards. The old pair ends one day after the first event that is signed with the
         *     new pair, and after 7 days in any case. With `revoke_old` it ends at once: use this if the pair has leaked.
         *     While the old pair is accepted, no further pair is made: the answer is the present pair, with 200, and
         *     `revoke_old` ends the old one. So two clicks, or two people at once, get the same pair. If the present pair has
         *     leaked, repeat `revoke_old` after ten seconds: the answer is a new pair, with 201, and every earlier pair has ended.
         */
        post: operations["rotateCallback"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/state": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        get?: never;
        /**
         * Switch archiving on or off.
         * @description Switching on requires a saved Secret, and the archive pulls at once. Switching off stops pulling; pulled pages are
         *     still decoded and shown. WeCom deletes messages after five days.
         */
        put: operations["putState"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/app": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        /**
         * Read the optional seventh step: the self-built app.
         * @description The answer holds what the admin enters in the app, and what is known of its secret. It never holds the secret.
         */
        get: operations["getApp"];
        /**
         * Save the secret of the self-built app.
         * @description In WeCom, the visible range of the app should be the archived members, its 企业可信IP must be the addresses in the
         *     answer, and it must be ticked under 客户联系 → 可调用接口的应用. Saving creates the callback pair if it is absent. The
         *     archive tries the secret at once.
         */
        put: operations["putApp"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/app/callback/rotate": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Make a new callback pair of the self-built app.
         * @description The same as for the callback of the archive. The app has a pair once its Secret was saved; before that the
         *     answer is 404.
         */
        post: operations["rotateAppCallback"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/inspect": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        /** Read WeCom's last answers about set-up and scope. */
        get: operations["getInspection"];
        put?: never;
        /**
         * Ask WeCom about set-up, scope and consents now.
         * @description The archive asks WeCom whether set-up works, which members are archived, and whether the external contacts of `pairs`
         *     and `rooms` have agreed to it. Some seconds later, the inspection and the consents hold the answers. The request
         *     overrides a pause after refusals, except the pause that protects the address of the archive.
         */
        post: operations["requestInspection"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/scope": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        /**
         * List the members who were in scope on a day, by edition, and since when.
         * @description The archive asks WeCom once a day and after a request (`requestInspection`), and keeps what differs from the check
         *     before. WeCom does not say when a member entered or left: each day is that of the check that noticed it, and
         *     nothing is known of the time before the first check. A member whose edition changes is listed once for each
         *     edition.
         */
        get: operations["listScope"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/doctor": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        /**
         * Whether each step and part of the set-up works, and what to do where it does not.
         * @description `steps` says how far the set-up is, and `checks` says why. The answer follows from what the archive has stored at
         *     this moment: it is as new as WeCom's last answers. `since` is when the archive first recorded the state. The archive
         *     examines a set-up after each save, on request, after each change of health, and once a day; it then records what has
         *     changed, and tells the operators and the SCRM once. A state that ends before the next examination is recorded
         *     nowhere. A trouble that usually passes by itself shows after ten minutes.
         */
        get: operations["getDoctor"];
        put?: never;
        /**
         * Try everything now.
         * @description Requests a pull and a check of every access; both override pauses, and neither exceeds the company's share of refusals.
         *     The request is done when `checked_at` of the doctor is at or after `requested_at`.
         */
        post: operations["requestDoctor"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/changes": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        /**
         * Ask whether anything changed.
         * @description A page that polls asks this, and reads a part again when the version of that part differs. Versions are opaque. A
         *     version may change without a visible change; a change of names or files alone changes none. For a limited token,
         *     `chats` follows only from messages in which its members take part.
         *
         *     `Retry-After` says in how many seconds to ask again: 3 while a set-up step waits, 15 while messages come, otherwise 60.
         */
        get: operations["getChanges"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/doctor/changes": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        /**
         * What has changed in the set-up, newest first.
         * @description Each change is announced once, as the event `setup.changed`. Operators get a notice of a check that becomes bad, is
         *     bad for another reason, or is no longer bad, unless the notice about the company's health says the same.
         */
        get: operations["listSetupChanges"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/people": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        /**
         * List the members, customers and robots of a company, for readers too.
         * @description Sorted by newest activity, the list has everyone who ever took part in a message; sorted by name, everyone whose
         *     name is known, with Chinese names in the order of pinyin. With `with`, it has those who have a single chat with
         *     this member; such a list is recorded as a reading of the member's list.
         *
         *     A limited token gets its own members. With `with`, which must be one of them, it gets those who have a single chat
         *     with this member; with `kind` `external` or `robot`, those of that kind who have a single chat with any of its members,
         *     recorded as a reading of the list of each. A page that searches long may be empty and still have a `next`.
         */
        get: operations["listPeople"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/contacts": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        /**
         * List members, external contacts and robots.
         * @description With `ids`, the answer lists these ids in the requested order. The archive then requests from WeCom the names that are
         *     absent or older than a week; they arrive some seconds later. It requests no name of an id that no message names. Without
         *     `ids`, the answer lists all known people, page by page, and the archive requests no names.
         */
        get: operations["listContacts"];
        /**
         * Save names that the SCRM knows.
         * @description A saved name takes precedence over WeCom's name. A `name` of null removes the saved name. Each entry replaces the
         *     earlier entry of its id. An entry without a readable `id` or `name` is refused, and the others are saved. Control
         *     characters in texts are dropped. An `avatar` with `http://` is saved with `https://`. Any other field of an
         *     entry is left out if it is invalid. The answer lists what was changed and what was refused; it is 400 if nothing
         *     could be saved. After a 500, send the same request again. The body must not exceed 1 MiB.
         */
        put: operations["putContacts"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/rooms": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        /**
         * List rooms.
         * @description Rooms are listed like contacts. A page holds at most 100 rooms, or with `members` 10, because a room may have 2000
         *     members. A page of a search may be empty and still have a `next`. A limited token lists the rooms of its members as
         *     conversations of the kind `room`.
         */
        get: operations["listRooms"];
        /**
         * Save names of rooms that the SCRM knows.
         * @description The names of rooms follow the same rules as those of contacts.
         */
        put: operations["putRooms"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/consents": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        /**
         * List the answers of external contacts to being archived.
         * @description The list has one entry for each contact and member, or contact and room: the newest answer from messages, events and
         *     checks. Give `member`, `room` or `external_contact`. `external_contact` may accompany `member` or `room`. For a
         *     limited token, `member` is required and must be one of the token's members.
         */
        get: operations["listConsents"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/consents/history": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        /**
         * List every answer of an external contact to a member, or of those in a room.
         * @description Give `member` and `external_contact`, or `room` with or without `external_contact`. The list has each answer once for
         *     each source, by contact and then by time. With `at` it has only the answer that held at that time. This choice is
         *     made within each page, so give a `limit` of 200 for a room. No entry means that the archive knew no answer. For a
         *     limited token, `member` is required and must be one of the token's members.
         */
        get: operations["listConsentHistory"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/consents/summary": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        /** Count the newest answers to being archived. */
        get: operations["sumConsents"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/pull": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /** Pull now, in spite of a pause. */
        post: operations["requestPull"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/status": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        /** Read the progress of the archive, and its trouble. */
        get: operations["getStatus"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/ledger": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        /** List the chain of pages and gaps. */
        get: operations["listLedger"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/activity": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        /**
         * Count what was archived on each of the last days.
         * @description The counts are those of the ledger's rows; no file is looked at. If an answer could not cover all days, `next`
         *     is the day from which to ask again.
         */
        get: operations["getActivity"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/statements": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        /**
         * List daily statements of what was archived.
         * @description The days are the Beijing days of the pull, oldest first, at most 31. If these days have more rows or files than one
         *     answer reads within seconds, `next` is the first day of the next answer.
         */
        get: operations["listStatements"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/statements/{day}": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
                /** @description A Beijing date, today or earlier. */
                day: components["schemas"]["Day"];
            };
            cookie?: never;
        };
        /**
         * Read the statement of a day.
         * @description The statement follows from the ledger. A verification proves that journal and view agree with it: `POST` replays with
         *     `verify`.
         */
        get: operations["getStatement"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/types": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        /** List the types of messages, the most frequent first. */
        get: operations["listTypes"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/set-aside": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        /**
         * List the records set aside, by seq.
         * @description The entries name no people, because the archive cannot read who took part.
         */
        get: operations["listSetAside"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/files": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        /**
         * List files that are absent or differ from their messages.
         * @description Waiting files are sorted by deadline, the earliest first; files in the other states, the latest first. To fetch a failed
         *     file again, start a replay of its `seq`: `from_seq` is the seq before it, `to_seq` is the seq itself.
         */
        get: operations["listFiles"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/replays": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        /** List replay jobs, newest first. */
        get: operations["listReplays"];
        put?: never;
        /**
         * Decode pages again from the journal, or verify them.
         * @description With `verify`, the job writes nothing: it compares ledger, journal and view, and `findings` lists the disagreements.
         *     An auditor may start only a job with `verify`. One replay and one verification of a corp run at a time (409), and a
         *     corp may start 20 replays and 5 verifications a day (429).
         */
        post: operations["createReplay"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/replays/{id}": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
                id: string;
            };
            cookie?: never;
        };
        /** Read a replay job. */
        get: operations["getReplay"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/replays/{id}/stop": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
                id: string;
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Stop a replay or a verification.
         * @description A page that is being decoded is still finished. Another job can start at once. A job that is done stays as it is. An
         *     auditor may stop verifications only.
         */
        post: operations["stopReplay"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/events": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        /**
         * List the callback events of a day.
         * @description First come the events that were sent on that day, in the order of the time that they state; then, in no order, others
         *     that arrived on it. The list holds every event except `msgaudit_notify`, which only announces messages. Of each
         *     company, 10,000 events or 16 MiB of events a day are stored, and half as much again of consents; `dropped` counts
         *     further ones.
         */
        get: operations["listEvents"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/readings": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        /**
         * List which users read which chats.
         * @description The list has one entry for each user, chat or list of chats, and ten minutes, oldest first. `names` has the names of the
         *     people and rooms whose chats they are, and of users who are members. A page may be empty and have a `next`.
         */
        get: operations["listReadings"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/seen": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        get?: never;
        /**
         * Note up to when the token's subject has seen a conversation.
         * @description Lists of conversations then show it as `seen_at`, in every browser of this subject. A time before the noted one
         *     changes nothing; a time in the future is taken as now. The note is no reading and proves none.
         */
        put: operations["markSeen"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/conversations": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        /**
         * List the conversations of a member, a customer or a room, newest activity first.
         * @description Give exactly one of `member`, `external_contact`, `room`, `unplaced` and `rooms`, or `member` and `external_contact` together:
         *     their single chat, and the rooms in which both take part. An entry shows the newest message in which this party, or
         *     both, take part.
         *
         *     `rooms` and `day` are for a token without limit. `rooms` lists every room of the company, each at its newest message;
         *     `q` finds rooms by a part of their name or id. `day` lists all conversations of the company with a message of that day, in the
         *     order of their ids. An entry then shows the newest message of the day. `kind` and `external` filter any list; `since` ends a
         *     list of a party at that time. For a limited token, a userid under `member` or `external_contact` must be one of the token's
         *     members; otherwise the answer is 403. Such a token gets the conversations, and the newest messages, that it may see.
         *
         *     `limit` and size bound a page. For a limited token, `next` says that there is a further conversation that it may see,
         *     or that the search ended early. The conversations of a day that cannot all be read in time come in no particular
         *     order: sort them by `last_at`.
         */
        get: operations["listConversations"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/conversations/{conversation}": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
                /** @description The `id` of a conversation. */
                conversation: components["schemas"]["OpaqueID"];
            };
            cookie?: never;
        };
        /**
         * Describe a conversation, for a page that opens it by its id.
         * @description The entry of the list, with the time of the first message, the room with its members, the consents and the names. A
         *     limited token gets no members and no consents of a room: they are those of today, and its members may have left the
         *     room before. A conversation without a message that the token may see is not found.
         */
        get: operations["getConversation"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/conversations/{conversation}/days": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
                /** @description The `id` of a conversation. */
                conversation: components["schemas"]["OpaqueID"];
            };
            cookie?: never;
        };
        /** List the days of a month on which a conversation has messages. */
        get: operations["listDays"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/conversations/{conversation}/messages": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
                /** @description The `id` of a conversation. */
                conversation: components["schemas"]["OpaqueID"];
            };
            cookie?: never;
        };
        /**
         * List the messages of a conversation.
         * @description `limit`, size and work bound a page, so a page may hold fewer messages than `limit`. With `revoked`, `kinds`, `files`
         *     or `msgid`, a page may be empty and still have a `next`. For a limited token, `next` says that there is a further message that it may see.
         *
         *     With `around` or `at`, the page surrounds a message or a time, oldest first: half of `limit` before it and half from it
         *     on. `anchor` is the message to show first. `prev` and `next` continue in both directions until the list ends; give
         *     them together with the same `around` or `at`.
         */
        get: operations["listMessages"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/conversations/{conversation}/search": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
                /** @description The `id` of a conversation. */
                conversation: components["schemas"]["OpaqueID"];
            };
            cookie?: never;
        };
        /**
         * Find a text in the messages of a conversation.
         * @description The search looks in the text of each message and in the names of its files, and ignores the case of letters. One
         *     call looks at 2,000 messages at most, so a page may have no hit and still a `next`. `scanned` says how far it
         *     looked.
         */
        get: operations["searchMessages"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/messages:batch": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Read several messages by their ids.
         * @description Each message is as in a list. The request changes nothing; it is a POST because the ids may be too long for a
         *     URL. One reading is recorded for each conversation of the messages.
         */
        post: operations["getMessages"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/messages/{id}": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
                /** @description The `id` of a message. */
                id: components["schemas"]["OpaqueID"];
            };
            cookie?: never;
        };
        /** Read a message. */
        get: operations["getMessage"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/messages/{id}/raw": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
                /** @description The `id` of a message. */
                id: components["schemas"]["OpaqueID"];
            };
            cookie?: never;
        };
        /**
         * Read the bytes of a message, exactly as decrypted.
         * @description One answer holds at most 4 MiB (4194304 bytes). For a longer message without `Range`, the answer is 413 and names the
         *     ranges to request. For a range longer than 4 MiB, the answer holds its first 4 MiB, and `Content-Range` says so. A
         *     `Range` with several ranges or another unit is ignored.
         */
        get: operations["getMessageBytes"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/messages/{id}/files/{n}": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
                /** @description The `id` of a message. */
                id: components["schemas"]["OpaqueID"];
                /** @description The index in `files` of the content, from 0. */
                n: string;
            };
            cookie?: never;
        };
        /**
         * Make a link to a file of a message.
         * @description The link works for at most five minutes, for every holder of the link, and for this file only. A picture, video
         *     or sound that a browser can show or play is served with its own content type, which follows from its first
         *     bytes. Every other file is served as bytes to be saved. `state` is `mismatch` if the stored file differs from
         *     its message, even while the file is fetched again.
         */
        get: operations["getFile"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/corps/{corpid}/links": {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Make links to several files of messages.
         * @description Like `getFile`, for several files. Each file has its link, or the problem that `getFile` would answer. The
         *     request changes nothing; it is a POST because the ids may be too long for a URL. One reading is recorded for
         *     each conversation of the messages.
         */
        post: operations["makeLinks"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export interface webhooks {
    "conversation.updated": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Messages of a conversation were stored.
         * @description Once for each conversation of a page, however many messages came, and for at most 100 conversations of a page: those
         *     with the newest messages. Messages that are decoded only when a late key arrives are announced then.
         */
        post: operations["conversationUpdated"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "consent.changed": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * An external contact's newest answer to archiving has changed.
         * @description From a message, an event or a check; an answer that was known already is not announced.
         */
        post: operations["consentChanged"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "setup.changed": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * A check of the set-up changed its state or cause.
         * @description As `listSetupChanges` lists it, without texts and evidence.
         */
        post: operations["setupChanged"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export interface components {
    schemas: {
        /** @example ww0123456789abcdef */
        CorpID: string;
        /** @description The first 32 hex digits of the SHA-256 of the public key (SubjectPublicKeyInfo). */
        KeyID: string;
        /**
         * @description An unsigned 64-bit number.
         * @example 4711
         */
        Seq: `${bigint}`;
        /** @description A SHA-256 in hex. */
        Sum: string;
        /**
         * Format: date
         * @example 2026-01-31
         */
        Day: string;
        /**
         * Format: date-time
         * @example 2026-01-31T08:00:00.123Z
         */
        Time: string;
        /** Format: date-time */
        TimeOrNull: string | null;
        /** @example lin.hua */
        PartyID: string;
        OpaqueID: string;
        /** @description Pass it as `page`. null: the list had no more entries. */
        Token: string | null;
        /** @description WeCom's 版本号 of a public key. */
        Version: number;
        /** @enum {string} */
        Role: "admin" | "reader" | "auditor" | "service";
        Session: {
            /** @description The user, as the token says. */
            subject: string;
            corp: components["schemas"]["CorpID"];
            /** @description null without a name, or for a corp that is not registered. */
            corp_name: string | null;
            /** @description The roles that the token names. Unknown roles are left out. */
            roles: components["schemas"]["Role"][];
            /** @description The members to whom the token is limited. null for a token without limit. */
            staff: string[] | null;
            /** @description When the token expires. */
            expires_at: components["schemas"]["TimeOrNull"];
            /** @description Whether the corp is registered. */
            registered: boolean;
            /** @description Whether the archive pulls the corp's messages. */
            enabled: boolean;
            /** @description When archiving was switched off. null if it is on or was never switched on, and for a caller with `staff`. */
            disabled_at: components["schemas"]["TimeOrNull"];
        };
        /** @description RFC 9457. */
        Problem: {
            /** @enum {unknown} */
            type: "urn:yunduo-archive:problem:invalid-request" | "urn:yunduo-archive:problem:unauthorized" | "urn:yunduo-archive:problem:forbidden" | "urn:yunduo-archive:problem:staff-missing" | "urn:yunduo-archive:problem:not-found" | "urn:yunduo-archive:problem:method-not-allowed" | "urn:yunduo-archive:problem:version-proved" | "urn:yunduo-archive:problem:secret-missing" | "urn:yunduo-archive:problem:changed-meanwhile" | "urn:yunduo-archive:problem:job-running" | "urn:yunduo-archive:problem:jobs-today" | "urn:yunduo-archive:problem:inspections-wait" | "urn:yunduo-archive:problem:keys-unproved" | "urn:yunduo-archive:problem:imports-today" | "urn:yunduo-archive:problem:imports-used" | "urn:yunduo-archive:problem:body-too-large" | "urn:yunduo-archive:problem:unavailable" | "urn:yunduo-archive:problem:message-too-large" | "urn:yunduo-archive:problem:unsupported-media-type" | "urn:yunduo-archive:problem:range-not-satisfiable" | "urn:yunduo-archive:problem:file-waiting" | "urn:yunduo-archive:problem:file-expired" | "urn:yunduo-archive:problem:file-failed" | "urn:yunduo-archive:problem:file-unknown" | "urn:yunduo-archive:problem:file-unread" | "urn:yunduo-archive:problem:internal";
            title: string;
            status: number;
            detail: string;
            /** @description The id of the request, for support. */
            instance: string;
            errors?: components["schemas"]["Mistakes"];
        };
        Mistakes: {
            /** @description The query parameter, or the field of the body. Empty for the body as a whole. */
            field: string;
            /** @enum {string} */
            rule: "required" | "unknown" | "repeated" | "type" | "length" | "range" | "form" | "exclusive" | "one_of" | "token" | "json" | "not_pem" | "no_private_key" | "several_keys" | "encrypted" | "encrypted_openssh" | "putty" | "pkcs12" | "not_rsa" | "cut_off" | "malformed" | "not_2048_bits";
            /** @description What the caller does about it. */
            remedy: string;
        }[];
        /** @description An answer of API Gateway itself. */
        GatewayMessage: {
            message: string;
        };
        CorpInput: {
            /** @description A text with at least one visible character and without control characters. */
            name: string;
        };
        /**
         * @example {
         *       "corp_id": "ww0123456789abcdef",
         *       "name": "云朵课堂",
         *       "created_at": "2026-01-31T08:00:00Z",
         *       "enabled": true,
         *       "enabled_at": "2026-01-31T09:00:00Z",
         *       "current_key": "0f3c0f3c0f3c0f3c0f3c0f3c0f3c0f3c",
         *       "callback_at": null,
         *       "switched": {
         *         "at": "2026-01-31T09:00:00Z",
         *         "by": "wang.min",
         *         "reason": null
         *       }
         *     }
         */
        Corp: {
            corp_id: components["schemas"]["CorpID"];
            name: string;
            created_at: components["schemas"]["Time"];
            enabled: boolean;
            /** @description When archiving was first switched on. */
            enabled_at: components["schemas"]["TimeOrNull"];
            /** @description The id of the key that the set-up page offers. */
            current_key: string | null;
            /** @description When WeCom last announced messages, to the minute. Other events do not count. */
            callback_at: components["schemas"]["TimeOrNull"];
            switched: components["schemas"]["Switched"];
        };
        /** @description Who last switched archiving on or off. null: it was never switched. */
        Switched: {
            at: components["schemas"]["Time"];
            /** @description The user. */
            by: string;
            reason: string | null;
        } | null;
        /**
         * @example {
         *       "key_id": "0f3c0f3c0f3c0f3c0f3c0f3c0f3c0f3c",
         *       "public_key": "-----BEGIN PUBLIC KEY-----\n…\n-----END PUBLIC KEY-----\n",
         *       "origin": "made",
         *       "created_at": "2026-01-31T08:00:00Z",
         *       "offered_at": "2026-01-31T08:00:00Z",
         *       "claimed_version": 1,
         *       "claimed_at": "2026-01-31T08:05:00Z",
         *       "claimed_by": "wang.min",
         *       "proved": [
         *         {
         *           "version": 1,
         *           "at": "2026-01-31T08:20:11Z",
         *           "seq": "1"
         *         }
         *       ],
         *       "last_used_at": "2026-02-03T02:10:40Z",
         *       "state": "proved",
         *       "current": true
         *     }
         */
        Key: {
            key_id: components["schemas"]["KeyID"];
            /** @description PEM, to be pasted into WeCom. */
            public_key: string;
            /** @enum {string} */
            origin: "made" | "imported";
            created_at: components["schemas"]["Time"];
            /** @description When the set-up page first offered the key. null for an imported key. */
            offered_at: components["schemas"]["TimeOrNull"];
            /** @description The 版本号 that a person entered last. */
            claimed_version: number | null;
            /** @description When it was entered. */
            claimed_at: components["schemas"]["TimeOrNull"];
            /** @description The user who entered it. */
            claimed_by: string | null;
            /** @description Versions whose messages this key has opened, ascending. */
            proved: {
                version: components["schemas"]["Version"];
                /** @description When the first message of the version was opened. */
                at: components["schemas"]["Time"];
                /** @description The seq of that message. */
                seq: components["schemas"]["Seq"];
            }[];
            /** @description The pull time of the newest page in which the key opened a message; it may lag by an hour. */
            last_used_at: components["schemas"]["TimeOrNull"];
            /** @enum {string} */
            state: "unused" | "claimed" | "proved";
            /** @description Whether the set-up page offers this key. */
            current: boolean;
        };
        KeyImport: {
            /** @description An RSA key of 2048 bits in PEM, as PKCS#1 or PKCS#8, without a password. */
            private_key: string;
            publickey_ver?: components["schemas"]["Version"];
        };
        /**
         * @example {
         *       "key": {
         *         "key_id": "0f3c0f3c0f3c0f3c0f3c0f3c0f3c0f3c",
         *         "public_key": "-----BEGIN PUBLIC KEY-----\n…\n-----END PUBLIC KEY-----\n",
         *         "origin": "made",
         *         "created_at": "2026-01-31T08:00:00Z",
         *         "offered_at": "2026-01-31T08:00:00Z",
         *         "claimed_version": 1,
         *         "claimed_at": "2026-01-31T08:05:00Z",
         *         "claimed_by": "wang.min",
         *         "proved": [
         *           {
         *             "version": 1,
         *             "at": "2026-01-31T08:20:11Z",
         *             "seq": "1"
         *           }
         *         ],
         *         "last_used_at": "2026-02-03T02:10:40Z",
         *         "state": "proved",
         *         "current": true
         *       },
         *       "claim_moved_from": null,
         *       "replay": null
         *     }
         */
        KeyImported: {
            key: components["schemas"]["Key"];
            /** @description The id of the key that lost the claim to the 版本号. */
            claim_moved_from: string | null;
            /** @description The replay that tries the key. null: the key was stored already, or is tried after the replay that runs. */
            replay: null | components["schemas"]["Replay"];
        };
        SetupInput: {
            /** @description The Secret of 会话内容存档. */
            secret?: components["schemas"]["PastedSecret"];
            publickey_ver?: components["schemas"]["Version"];
            /** @description The key of `publickey_ver`. Default: the offered key. `key_id` requires `publickey_ver`. */
            key_id?: components["schemas"]["KeyID"];
        } | unknown | unknown;
        /** @description 16 to 128 visible ASCII characters. Blanks, line breaks, byte order marks and quotation marks around them are left out, and `trimmed` in the answer says so. */
        PastedSecret: string;
        /** @description Fields that had blanks, line breaks, byte order marks or quotation marks around them, which were removed before saving. */
        Trimmed: ("secret" | "agent_id")[];
        CallbackRotation: {
            /**
             * @description End the old pair at once.
             * @default false
             */
            revoke_old?: boolean;
        };
        /**
         * @description What the admin enters in WeCom as a server for events.
         * @example {
         *       "url": "https://archive.example.com/callback/ww0123456789abcdef",
         *       "token": "K7NQ2EXAMPLE5PZBQ8KYL0V2M1",
         *       "encoding_aes_key": "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C",
         *       "old_until": "2026-02-07T08:00:00Z",
         *       "verified_at": "2026-01-31T08:01:00Z",
         *       "event_at": "2026-01-31T09:12:30Z",
         *       "source_ip": "203.0.113.40",
         *       "refused": {
         *         "count_today": 2,
         *         "at": "2026-01-31T08:00:30Z",
         *         "why": "signature",
         *         "source_ip": "203.0.113.40"
         *       }
         *     }
         */
        Callback: {
            /** Format: uri */
            url: string;
            token: string;
            encoding_aes_key: string;
            /** @description Until when the pair before this one is accepted; an earlier time may follow from the first event with this pair. null: only this pair is accepted. */
            old_until: components["schemas"]["TimeOrNull"];
            /** @description When WeCom last checked the URL with this pair. null: not since the pair was made. */
            verified_at: components["schemas"]["TimeOrNull"];
            /** @description When an authentic event last arrived since the pair was made, to ten minutes. */
            event_at: components["schemas"]["TimeOrNull"];
            /** @description The address from which the newer of these two came. */
            source_ip: string | null;
            /** @description Requests that were refused since the pair was made. Anybody on the internet can send such requests. */
            refused: {
                /** @description At least this number on the present day in Beijing. */
                count_today: number;
                /** @description The newest that was noted, to the minute. */
                at: components["schemas"]["TimeOrNull"];
                /**
                 * @description signature: another Token. decrypt: another EncodingAESKey. receiver: an event of another company.
                 * @enum {string|null}
                 */
                why: "signature" | "decrypt" | "receiver" | null;
                source_ip: string | null;
            };
        };
        StateInput: {
            enabled: boolean;
            /** @description Why, for the record. */
            reason?: string;
        };
        /**
         * @example {
         *       "corp_id": "ww0123456789abcdef",
         *       "trusted_ips": [
         *         "203.0.113.9",
         *         "203.0.113.10"
         *       ],
         *       "public_key": "-----BEGIN PUBLIC KEY-----\n…\n-----END PUBLIC KEY-----\n",
         *       "keys": [
         *         {
         *           "key_id": "0f3c0f3c0f3c0f3c0f3c0f3c0f3c0f3c",
         *           "public_key": "-----BEGIN PUBLIC KEY-----\n…\n-----END PUBLIC KEY-----\n",
         *           "origin": "made",
         *           "created_at": "2026-01-31T08:00:00Z",
         *           "offered_at": "2026-01-31T08:00:00Z",
         *           "claimed_version": 1,
         *           "claimed_at": "2026-01-31T08:05:00Z",
         *           "claimed_by": "wang.min",
         *           "proved": [],
         *           "last_used_at": null,
         *           "state": "claimed",
         *           "current": true
         *         }
         *       ],
         *       "unmatched_versions": [],
         *       "unmatched_more": false,
         *       "secret": {
         *         "masked": "3kTq••••••••",
         *         "set_at": "2026-01-31T08:00:00Z",
         *         "tried_at": "2026-01-31T08:00:02Z",
         *         "ok_at": "2026-01-31T08:00:02Z",
         *         "next_try": "2026-01-31T08:30:00Z",
         *         "trouble": null
         *       },
         *       "callback": null,
         *       "enabled": true
         *     }
         */
        Setup: {
            corp_id: components["schemas"]["CorpID"];
            /** @description Addresses to enter in WeCom, separated by semicolons. */
            trusted_ips: string[];
            /** @description The offered key in PEM. null until registration is complete. */
            public_key: string | null;
            /** @description Oldest first. */
            keys: components["schemas"]["Key"][];
            /** @description Versions of records set aside because no key opens them. Import their private key, or check the public key in WeCom. */
            unmatched_versions: components["schemas"]["Version"][];
            /** @description More than 1000 records are set aside. The answer considers the 1000 oldest, so there may be other versions. */
            unmatched_more: boolean;
            /** @description The Secret of 会话内容存档. null before it is saved. */
            secret: null | components["schemas"]["Secret"];
            /** @description For 接收事件服务器. null until registration is complete. */
            callback: null | components["schemas"]["Callback"];
            enabled: boolean;
        };
        /**
         * @example {
         *       "changed": [
         *         "publickey_ver"
         *       ],
         *       "trimmed": [],
         *       "claim_moved_from": null,
         *       "setup": {
         *         "corp_id": "ww0123456789abcdef",
         *         "trusted_ips": [
         *           "203.0.113.9",
         *           "203.0.113.10"
         *         ],
         *         "public_key": "-----BEGIN PUBLIC KEY-----\n…\n-----END PUBLIC KEY-----\n",
         *         "keys": [
         *           {
         *             "key_id": "0f3c0f3c0f3c0f3c0f3c0f3c0f3c0f3c",
         *             "public_key": "-----BEGIN PUBLIC KEY-----\n…\n-----END PUBLIC KEY-----\n",
         *             "origin": "made",
         *             "created_at": "2026-01-31T08:00:00Z",
         *             "offered_at": "2026-01-31T08:00:00Z",
         *             "claimed_version": 1,
         *             "claimed_at": "2026-01-31T08:05:00Z",
         *             "claimed_by": "wang.min",
         *             "proved": [],
         *             "last_used_at": null,
         *             "state": "claimed",
         *             "current": true
         *           }
         *         ],
         *         "unmatched_versions": [],
         *         "unmatched_more": false,
         *         "secret": {
         *           "masked": "3kTq••••••••",
         *           "set_at": "2026-01-31T08:00:00Z",
         *           "tried_at": "2026-01-31T08:00:02Z",
         *           "ok_at": "2026-01-31T08:00:02Z",
         *           "next_try": "2026-01-31T08:30:00Z",
         *           "trouble": null
         *         },
         *         "callback": null,
         *         "enabled": true
         *       }
         *     }
         */
        SetupSaved: {
            changed: ("secret" | "publickey_ver")[];
            trimmed: components["schemas"]["Trimmed"];
            /** @description The id of the key that lost the claim to the 版本号. */
            claim_moved_from: string | null;
            setup: components["schemas"]["Setup"];
        };
        /**
         * @description What is known of a saved Secret. No answer holds the Secret itself.
         * @example {
         *       "masked": "3kTq••••••••",
         *       "set_at": "2026-01-31T08:00:00Z",
         *       "tried_at": "2026-01-31T08:00:02Z",
         *       "ok_at": "2026-01-31T08:00:02Z",
         *       "next_try": "2026-01-31T08:30:00Z",
         *       "trouble": null
         *     }
         */
        Secret: {
            /** @description Its first four characters. */
            masked: string;
            /** @description When it was saved. */
            set_at: components["schemas"]["Time"];
            /** @description When the archive last showed it to WeCom; if WeCom accepts it, the time may lag by an hour. null: not yet. */
            tried_at: components["schemas"]["TimeOrNull"];
            /** @description When WeCom last accepted it. null: never. */
            ok_at: components["schemas"]["TimeOrNull"];
            /** @description When the archive may next show it to WeCom, if nothing else changes; the present time, or after an answer 304 an earlier one, if no pause applies. If the company had too many refused Secrets, saving another Secret does not change this time. */
            next_try: components["schemas"]["Time"];
            /** @description The trouble that the archive met with this Secret. null: no trouble. */
            trouble: null | components["schemas"]["Trouble"];
        };
        Step: {
            step: number;
            /** @description The name of the step, for people. */
            title: string;
            /** @description The place in WeCom's admin console. */
            where: string | null;
            /** @enum {string} */
            name: "company" | "scope" | "secret" | "public_key" | "trusted_ip" | "switch_on" | "chats" | "app";
            /**
             * @description todo: the step is not done, or no Secret is saved yet, without which the archive cannot check it. waiting: the step
             *     looks done, or the archive cannot check it yet; WeCom's answers will show the result. done: WeCom's answers show that
             *     the step is done; step 0 is done with the registration. redo: a check of the step is bad and says what to do. The
             *     checks of callbacks, which strangers' requests can make bad, mark no step.
             * @enum {string}
             */
            state: "todo" | "waiting" | "done" | "redo";
        };
        Doctor: {
            /** @description When the archive last asked WeCom about everything. */
            checked_at: components["schemas"]["TimeOrNull"];
            /** @description Whether a requested check has not begun yet. */
            running: boolean;
            /** @description When the check that has not begun was requested. */
            requested_at: components["schemas"]["TimeOrNull"];
            /** @description The set-up steps 0 to 7. */
            steps: components["schemas"]["Step"][];
            checks: components["schemas"]["SetupCheck"][];
        };
        /** @enum {string} */
        CheckName: "corp" | "scope" | "seats" | "secret" | "key" | "key_versions" | "trusted_ip" | "switch_on" | "callback" | "pulls" | "chats" | "hours_left" | "losses" | "pages" | "set_aside" | "files" | "app" | "app_callback";
        /**
         * @description ok: WeCom's answers show that it works. waiting: it looks right, or is still to be done; something must still come. bad:
         *     it does not work. unseen: WeCom has not answered yet, or cannot tell. off: it is not used.
         * @enum {string}
         */
        CheckState: "ok" | "waiting" | "bad" | "unseen" | "off";
        /**
         * @description Why the check has its state: a cause of a trouble, a reason for which records are set aside, or a cause of the doctor's own.
         * @enum {string}
         */
        CheckCause: "trusted_ip" | "secret_refused" | "archive_disabled" | "corp_unverified" | "secret_kind" | "secret_missing" | "corpid" | "licence_expired" | "not_open" | "rate_limited" | "address_budget" | "refusal_share" | "network" | "wecom_busy" | "tls" | "library_missing" | "library_crash" | "bad_answer" | "record_too_large" | "unknown_error" | "malformed_record" | "bad_key_text" | "library_refused" | "library_crashed" | "library_hung" | "journal_damaged" | "scope_over_seats" | "scope_empty" | "key_unclaimed" | "key_unproved" | "proved_elsewhere" | "version_unmatched" | "egress_differs" | "switched_off" | "callback_unverified" | "callback_silent" | "callback_refused" | "nothing_yet" | "late" | "losing" | "lost" | "gap" | "pages_stuck" | "files_short" | "files_missing" | "app_unused";
        CheckEvidence: {
            /** @enum {string} */
            fact: "corp_id" | "members" | "set_at" | "masked" | "version" | "versions" | "claimed" | "proved" | "count" | "at_least" | "files_until" | "seq" | "from_ip" | "trusted_ips" | "on_list" | "by" | "reason" | "last_call" | "event_at" | "verified_at" | "why" | "source_ip" | "hours" | "until" | "oldest" | "access";
            /** @description The name of the fact, for people. */
            label: string;
            /** @description A time is in UTC. */
            value: string;
            /** @description The value, for people. A time is in Beijing time. */
            text: string;
        };
        SetupCheck: {
            check: components["schemas"]["CheckName"];
            /** @description The set-up step that the check belongs to; 0: the company itself. */
            step: number;
            state: components["schemas"]["CheckState"];
            cause: null | components["schemas"]["CheckCause"];
            /**
             * @description Who can put it right.
             * @enum {string}
             */
            who: "admin" | "operators";
            /** @description When the state began, as far as it is known. */
            since: components["schemas"]["TimeOrNull"];
            /** @description When the archive last learned about it. */
            at: components["schemas"]["TimeOrNull"];
            /** @description What the cause means. null without a cause. */
            what: string | null;
            /** @description What a person does about it. null without a cause. */
            fix: string | null;
            /** @description The place in WeCom's admin console. */
            where: string | null;
            /** @description The function of the library, or the path of WeCom's HTTP API, whose answer named the cause. */
            op: string | null;
            /** @description The code of that answer. */
            code: number | null;
            /** @description Whether `code` is the return code of the library and not an errcode. */
            native: boolean;
            /** @description The address that WeCom saw. */
            from_ip: string | null;
            evidence: components["schemas"]["CheckEvidence"][];
        };
        SetupChangePage: {
            changes: components["schemas"]["SetupChange"][];
            next: components["schemas"]["Token"];
        };
        SetupChange: {
            at: components["schemas"]["Time"];
            check: components["schemas"]["CheckName"];
            step: number;
            /** @description null: the check was not examined before. */
            from: null | components["schemas"]["CheckState"];
            to: components["schemas"]["CheckState"];
            /** @description The previous cause. */
            was: null | components["schemas"]["CheckCause"];
            cause: null | components["schemas"]["CheckCause"];
            /** @enum {string} */
            who: "admin" | "operators";
            what: string | null;
            evidence: components["schemas"]["CheckEvidence"][];
        };
        /** @description An event as a rule of the bus delivers it. AWS adds further fields. */
        ConversationUpdated: {
            /** @description AWS's id of this delivery. A repeated announcement has another one. */
            id: string;
            /** @constant */
            source: "yunduo-archive";
            /** @constant */
            "detail-type": "conversation.updated";
            time: components["schemas"]["Time"];
            detail: {
                corp: components["schemas"]["CorpID"];
                /** @description The id of the conversation, as in every answer. */
                conversation: components["schemas"]["OpaqueID"];
                /** @enum {string} */
                kind: "single" | "room" | "own" | "group" | "unplaced";
                /** @description The id of a room; null for other conversations. */
                room: string | null;
                /** @description Who sent or received the new messages; of more than 50, the first. */
                parties: string[];
                /** @description The time of the newest of these messages. */
                last_at: components["schemas"]["Time"];
                /** @description The highest seq of these messages: a repeated announcement has the same. */
                seq: components["schemas"]["Seq"];
            };
        };
        /** @description An event as a rule of the bus delivers it. AWS adds further fields. */
        ConsentChanged: {
            /** @description AWS's id of this delivery. A repeated announcement has another one. */
            id: string;
            /** @constant */
            source: "yunduo-archive";
            /** @constant */
            "detail-type": "consent.changed";
            time: components["schemas"]["Time"];
            detail: {
                corp: components["schemas"]["CorpID"];
                external_contact: string;
                member: string | null;
                room: string | null;
                /** @enum {string} */
                status: "agree" | "disagree" | "default_agree";
                changed_at: components["schemas"]["TimeOrNull"];
                /** @enum {string} */
                source: "message" | "event" | "check";
            };
        };
        /** @description An event as a rule of the bus delivers it. AWS adds further fields. */
        SetupChanged: {
            /** @description AWS's id of this delivery. A repeated announcement has another one. */
            id: string;
            /** @constant */
            source: "yunduo-archive";
            /** @constant */
            "detail-type": "setup.changed";
            time: components["schemas"]["Time"];
            detail: {
                corp: components["schemas"]["CorpID"];
                check: components["schemas"]["CheckName"];
                step: number;
                from: null | components["schemas"]["CheckState"];
                to: components["schemas"]["CheckState"];
                was: null | components["schemas"]["CheckCause"];
                cause: null | components["schemas"]["CheckCause"];
                /** @enum {string} */
                who: "admin" | "operators";
                at: components["schemas"]["Time"];
            };
        };
        /**
         * @example {
         *       "corp_id": "ww0123456789abcdef",
         *       "enabled": true,
         *       "switched": {
         *         "at": "2026-01-31T08:00:00Z",
         *         "by": "wang.min",
         *         "reason": null
         *       },
         *       "health": "well",
         *       "health_since": "2026-01-31T08:01:00Z",
         *       "head": {
         *         "seq": "4711",
         *         "hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
         *         "rows": 12,
         *         "at": "2026-01-31T09:00:00Z"
         *       },
         *       "last_call_at": "2026-01-31T09:00:00Z",
         *       "last_page_at": "2026-01-31T09:00:00Z",
         *       "last_empty_at": "2026-01-31T09:00:00Z",
         *       "lag_seconds": 12,
         *       "hours_left": 120,
         *       "not_before": null,
         *       "callback_at": null,
         *       "trouble": null,
         *       "losses": [],
         *       "gaps": {
         *         "count": 0,
         *         "newest": null
         *       },
         *       "pages_waiting": {
         *         "count": 0,
         *         "stuck": 0,
         *         "oldest_at": null,
         *         "files_until": null,
         *         "more": false
         *       },
         *       "set_aside": {
         *         "count": 0,
         *         "by_reason": {},
         *         "by_version": {},
         *         "files_until": null,
         *         "more": false
         *       },
         *       "files": {
         *         "waiting": 0,
         *         "late": 0,
         *         "earliest_deadline": null,
         *         "hours_left": null,
         *         "problems": {},
         *         "more": false
         *       }
         *     }
         */
        Status: {
            corp_id: components["schemas"]["CorpID"];
            enabled: boolean;
            switched: components["schemas"]["Switched"];
            /** @description The one word that notices and alarms use: off, well, late, losing, set_aside, or the cause of a trouble that lasts. */
            health: string;
            /** @description When the operators were told of it. null: not yet. */
            health_since: components["schemas"]["TimeOrNull"];
            head: {
                /** @description The highest seq in the journal. */
                seq: components["schemas"]["Seq"];
                /** @description The hash at the end of the chain. */
                hash: components["schemas"]["Sum"];
                rows: number;
                at: components["schemas"]["TimeOrNull"];
            };
            /** @description When the archive last called WeCom. While no message comes, this and last_empty_at may be five minutes old. */
            last_call_at: components["schemas"]["TimeOrNull"];
            /** @description When messages last came. */
            last_page_at: components["schemas"]["TimeOrNull"];
            /** @description When WeCom last answered that it has no more messages. */
            last_empty_at: components["schemas"]["TimeOrNull"];
            /** @description The time since WeCom last answered that it has no more messages, or since archiving was first switched on. After an answer 304 it is up to a minute longer. null if archiving was never switched on. */
            lag_seconds: number | null;
            /** @description The time until WeCom may delete data that is not archived yet: messages that are not pulled, waiting files, or files of records set aside and of pages that are not decoded. The earliest deadline counts. Files whose deadline is over do not count. Negative after messages may have been deleted. null if archiving was never switched on. */
            hours_left: number | null;
            /** @description The end of a pause after refusals. A person's request overrides the pause. */
            not_before: components["schemas"]["TimeOrNull"];
            callback_at: components["schemas"]["TimeOrNull"];
            trouble: null | components["schemas"]["Trouble"];
            losses: components["schemas"]["Loss"][];
            gaps: {
                /** @description Ranges of seqs that could not be fetched from WeCom. The ledger records each with its evidence. */
                count: number;
                newest: null | {
                    /** @description The `after` of the ledger row. The gap begins at the next seq. */
                    after: components["schemas"]["Seq"];
                    /** @description The last seq of the gap. */
                    last: components["schemas"]["Seq"];
                    /** @description The reason in the ledger. */
                    reason: string;
                    /** @description When the gap was recorded. */
                    at: components["schemas"]["Time"];
                };
            };
            pages_waiting: {
                /** @description Pages in the journal that are not decoded yet. */
                count: number;
                stuck: number;
                /** @description The earliest time at which one of these pages was last requested, or pulled if it was never requested. */
                oldest_at: components["schemas"]["TimeOrNull"];
                /** @description The next deadline of files that these pages may name: 120 hours after a page was pulled, WeCom may have deleted its files. null if the deadline of every page is over. */
                files_until: components["schemas"]["TimeOrNull"];
                /** @description Whether there are more than the counted ones. */
                more: boolean;
            };
            set_aside: {
                count: number;
                by_reason: {
                    [key: string]: number;
                };
                by_version: {
                    [key: string]: number;
                };
                /** @description The next deadline of files that these records may name: 120 hours after a record was pulled, WeCom may have deleted its files. null if the deadline of every record is over. */
                files_until: components["schemas"]["TimeOrNull"];
                /** @description Whether there are more than the counted ones. */
                more: boolean;
            };
            files: {
                /** @description Files that the archive still fetches from WeCom. */
                waiting: number;
                /** @description The waiting files that WeCom may have deleted. The archive requests them until WeCom must have deleted them. */
                late: number;
                /** @description The earliest deadline of the waiting files that are not late. */
                earliest_deadline: components["schemas"]["TimeOrNull"];
                /** @description The time until the earliest deadline. */
                hours_left: number | null;
                /** @description The files that failed, expired, or differ from their messages, by state. */
                problems: {
                    [key: string]: number;
                };
                /** @description Whether there are more than the counted ones. */
                more: boolean;
            };
        };
        Trouble: {
            /** @enum {string} */
            cause: "trusted_ip" | "secret_refused" | "archive_disabled" | "corp_unverified" | "secret_kind" | "secret_missing" | "corpid" | "licence_expired" | "not_open" | "rate_limited" | "address_budget" | "refusal_share" | "network" | "wecom_busy" | "tls" | "library_missing" | "library_crash" | "bad_answer" | "record_too_large" | "unknown_error";
            /** @description The set-up step to redo. Step 7 is the self-built app. */
            step: number | null;
            /** @description What happened. */
            what: string;
            /** @description What a person does about it. */
            remedy: string;
            /** @description The function of the library, or the path of WeCom's HTTP API. Empty if neither was called. */
            op: string;
            code: number;
            /** @description true: `code` is the return code of the library. false: `code` is the errcode of WeCom's answer. */
            native: boolean;
            /** @description The address that WeCom saw. null if WeCom does not report it. */
            from_ip: string | null;
            since: components["schemas"]["Time"];
            at: components["schemas"]["Time"];
        };
        AppInput: {
            /** @description The Secret of the self-built app. */
            secret: components["schemas"]["PastedSecret"];
            /** @description The AgentId of the app: up to 20 digits, for information only. What surrounds a Secret is removed here too. An absent agent_id keeps the saved value. */
            agent_id?: string;
        };
        /**
         * @example {
         *       "agent_id": "1000002",
         *       "secret": {
         *         "masked": "3kTq••••••••",
         *         "set_at": "2026-01-31T08:00:00Z",
         *         "tried_at": "2026-01-31T08:00:02Z",
         *         "ok_at": "2026-01-31T08:00:02Z",
         *         "next_try": "2026-01-31T08:30:00Z",
         *         "trouble": null
         *       },
         *       "trusted_ips": [
         *         "203.0.113.9"
         *       ],
         *       "callback": null
         *     }
         */
        App: {
            agent_id: string | null;
            /** @description The Secret of the app. null before it is saved. */
            secret: null | components["schemas"]["Secret"];
            /** @description Addresses to enter as 企业可信IP of the app. */
            trusted_ips: string[];
            /** @description For the optional 接收消息 of the app. null before a Secret is saved. */
            callback: null | components["schemas"]["Callback"];
            /** @description Only in the answer to saving. */
            trimmed?: components["schemas"]["Trimmed"];
        };
        InspectionInput: {
            pairs?: {
                member: components["schemas"]["PartyID"];
                external_contact: components["schemas"]["PartyID"];
            }[];
            rooms?: components["schemas"]["PartyID"][];
        };
        /**
         * @example {
         *       "checked_at": "2026-01-31T08:00:00Z",
         *       "accesses": [
         *         {
         *           "access": "archive",
         *           "ok_at": "2026-01-31T08:00:00Z",
         *           "not_before": null,
         *           "trouble": null
         *         },
         *         {
         *           "access": "members",
         *           "ok_at": null,
         *           "not_before": null,
         *           "trouble": null
         *         },
         *         {
         *           "access": "customers",
         *           "ok_at": null,
         *           "not_before": null,
         *           "trouble": null
         *         }
         *       ],
         *       "scope": {
         *         "count": 1,
         *         "members": [
         *           "lin.hua"
         *         ],
         *         "editions": [
         *           {
         *             "edition": 3,
         *             "count": 1
         *           }
         *         ],
         *         "at": "2026-01-31T08:00:00Z"
         *       },
         *       "names": {
         *         "people": {
         *           "lin.hua": {
         *             "name": "林华",
         *             "kind": "member",
         *             "avatar": null,
         *             "company": null
         *           }
         *         },
         *         "rooms": {},
         *         "missing": {}
         *       }
         *     }
         */
        Inspection: {
            /** @description When the archive last tried all accesses. */
            checked_at: components["schemas"]["TimeOrNull"];
            /** @description Of the first 500 members in scope. */
            names: components["schemas"]["Names"];
            accesses: components["schemas"]["Access"][];
            /** @description The archived members in WeCom's last answer. null before the first answer. */
            scope: null | {
                /** @description 0: no member is archived; do step 1. */
                count: number;
                /** @description The first 2000 members. */
                members: string[];
                /** @description The members of each edition that has some; empty if WeCom did not say. */
                editions: components["schemas"]["EditionCount"][];
                at: components["schemas"]["Time"];
            };
        };
        /**
         * @description 1 office, 2 service, 3 enterprise edition. null: WeCom names none.
         * @enum {integer|null}
         */
        Edition: 1 | 2 | 3 | null;
        EditionCount: {
            edition: components["schemas"]["Edition"];
            count: number;
        };
        /**
         * @example {
         *       "day": "2026-01-31",
         *       "editions": [
         *         {
         *           "edition": 2,
         *           "count": 1
         *         },
         *         {
         *           "edition": 3,
         *           "count": 1
         *         }
         *       ],
         *       "members": [
         *         {
         *           "member": "lin.hua",
         *           "edition": 3,
         *           "since": "2026-01-02",
         *           "until": null
         *         },
         *         {
         *           "member": "0042",
         *           "edition": 2,
         *           "since": "2026-01-02",
         *           "until": "2026-02-03"
         *         }
         *       ],
         *       "names": {
         *         "people": {
         *           "lin.hua": {
         *             "name": "林华",
         *             "kind": "member",
         *             "avatar": null,
         *             "company": null
         *           }
         *         },
         *         "rooms": {},
         *         "missing": {}
         *       },
         *       "next": null
         *     }
         */
        ScopePage: {
            day: components["schemas"]["Day"];
            /** @description How many members of each edition were in scope on the day, on all pages together. */
            editions: components["schemas"]["EditionCount"][];
            members: {
                member: string;
                edition: components["schemas"]["Edition"];
                /** @description The day of the first check that found the member in scope. */
                since: components["schemas"]["Day"];
                /** @description The day of the first check that did not. null: the member is in scope. */
                until: null | components["schemas"]["Day"];
            }[];
            names: components["schemas"]["Names"];
            next: components["schemas"]["Token"];
        };
        Access: {
            /**
             * @description What the archive asks WeCom about. archive: the interfaces of 会话内容存档. members: members. customers: external contacts and their rooms.
             * @enum {string}
             */
            access: "archive" | "members" | "customers";
            /** @description When WeCom last answered without an error, to the hour. null before the first such answer to the present Secret. */
            ok_at: components["schemas"]["TimeOrNull"];
            /** @description The end of a pause after refusals. A person's request overrides the pause. */
            not_before: components["schemas"]["TimeOrNull"];
            trouble: null | components["schemas"]["Trouble"];
        };
        /**
         * @description Where the name comes from. null for an unknown name.
         * @enum {string|null}
         */
        NameSource: "scrm" | "wecom" | null;
        /**
         * @description Why WeCom's last answer had no name (`MissingReason`). An earlier name stays.
         * @enum {string|null}
         */
        Missing: "not_found" | "out_of_range" | "not_a_contact" | "other_corp" | "needs_app" | "refused" | null;
        /**
         * @description not_found: WeCom knows no such member, robot or room. out_of_range: the person or room is outside the 可见范围 of the
         *     company's app. not_a_contact: no member in the range of the app has this external contact. other_corp: another company
         *     created the room. needs_app: only a self-built app may ask, and the company has saved none. refused: an undocumented
         *     reason.
         * @enum {string}
         */
        MissingReason: "not_found" | "out_of_range" | "not_a_contact" | "other_corp" | "needs_app" | "refused";
        /** @enum {string} */
        PersonKind: "member" | "external" | "robot";
        /**
         * @description internal: members only. customer: with external contacts. foreign: created by another corp.
         * @enum {string}
         */
        RoomKind: "internal" | "customer" | "foreign";
        /** @description A text with at least one visible character and without control characters. */
        PersonName: string;
        Changes: {
            /** @description Changes when messages came. null for a token that may not read chats. */
            chats: string | null;
            /** @description Changes when an answer to archiving became known, by a message, an event or a check. null for a token that may not read chats, and for a limited token. */
            consents: string | null;
            /** @description The set-up and its keys. null for a token that may not see it. */
            setup: string | null;
            status: string | null;
            /** @description Replays and verifications. */
            jobs: string | null;
        };
        PeoplePage: {
            people: {
                id: string;
                kind: components["schemas"]["PersonKind"];
                /** @description null without a known name. */
                name: string | null;
                avatar: string | null;
                company: string | null;
                missing: components["schemas"]["Missing"];
                /**
                 * Format: date
                 * @description The day of the person's newest message; with `with`, of their newest single chat. In Beijing. null without one.
                 */
                last_day: string | null;
            }[];
            /** @description false if the company has more people with names than are sorted together; `q` and `kind` find the others. */
            whole: boolean;
            next: components["schemas"]["Token"];
        };
        Contact: {
            id: string;
            kind: components["schemas"]["PersonKind"];
            name: string | null;
            /** @description An address from the SCRM or WeCom, unchecked. Do not trust it. */
            avatar: string | null;
            company: string | null;
            source: components["schemas"]["NameSource"];
            at: components["schemas"]["TimeOrNull"];
            missing: components["schemas"]["Missing"];
        };
        /**
         * @example {
         *       "contacts": [
         *         {
         *           "id": "lin.hua",
         *           "kind": "member",
         *           "name": "林华",
         *           "avatar": null,
         *           "company": null,
         *           "source": "scrm",
         *           "at": "2026-01-31T08:00:00.123Z",
         *           "missing": null
         *         }
         *       ],
         *       "next": null
         *     }
         */
        ContactPage: {
            contacts: components["schemas"]["Contact"][];
            next: components["schemas"]["Token"];
        };
        ContactsInput: {
            contacts: ({
                id: components["schemas"]["PartyID"];
                name: null | components["schemas"]["PersonName"];
                /** @description Default: the kind that the form of the id shows. */
                kind?: components["schemas"]["PersonKind"];
                avatar?: string;
                company?: components["schemas"]["PersonName"];
            } | unknown)[];
        };
        Room: {
            id: string;
            kind: null | components["schemas"]["RoomKind"];
            name: string | null;
            /** @description A userid. */
            owner: string | null;
            created_at: components["schemas"]["TimeOrNull"];
            /** @description null unless they are asked for. */
            members: {
                id: string;
                name: string | null;
            }[] | null;
            source: components["schemas"]["NameSource"];
            at: components["schemas"]["TimeOrNull"];
            missing: components["schemas"]["Missing"];
        };
        /**
         * @example {
         *       "rooms": [
         *         {
         *           "id": "wrAAA",
         *           "kind": "customer",
         *           "name": "三班家长群",
         *           "owner": "lin.hua",
         *           "created_at": "2026-01-02T03:04:05.000Z",
         *           "members": null,
         *           "source": "wecom",
         *           "at": "2026-01-31T08:00:00.123Z",
         *           "missing": null
         *         }
         *       ],
         *       "next": null
         *     }
         */
        RoomPage: {
            rooms: components["schemas"]["Room"][];
            next: components["schemas"]["Token"];
        };
        RoomsInput: {
            rooms: ({
                id: components["schemas"]["PartyID"];
                name: null | components["schemas"]["PersonName"];
                kind?: components["schemas"]["RoomKind"];
                owner?: components["schemas"]["PartyID"];
            } | unknown)[];
        };
        /**
         * @example {
         *       "saved": 2,
         *       "changed": [
         *         {
         *           "field": "contacts[1].name",
         *           "rule": "length",
         *           "remedy": "姓名超过 256 个字符，已截短。"
         *         }
         *       ],
         *       "refused": []
         *     }
         */
        Saved: {
            /** @description Entries. */
            saved: number;
            /** @description Fields of saved entries that were corrected or left out. At most 1000. */
            changed: components["schemas"]["Mistakes"];
            /** @description Why entries were not saved. At most 1000. */
            refused: components["schemas"]["Mistakes"];
        };
        /**
         * @description The names of the people and rooms in the answer, by id. An id that is absent from `people` and `rooms` has no known
         *     name: show the id. If `missing` has the id, WeCom gave no name, for that reason. Otherwise read again later. Names are
         *     those of today, for a limited token too: the archive keeps no earlier ones. A limited token gets no owner of a room.
         * @example {
         *       "people": {
         *         "lin.hua": {
         *           "name": "林华",
         *           "kind": "member",
         *           "avatar": null,
         *           "company": null
         *         }
         *       },
         *       "rooms": {},
         *       "missing": {
         *         "wmAAA": "not_a_contact"
         *       }
         *     }
         */
        Names: {
            people: {
                [key: string]: {
                    name: string;
                    kind: components["schemas"]["PersonKind"];
                    /** @description An address from the SCRM or WeCom, unchecked. Do not trust it. */
                    avatar: string | null;
                    company: string | null;
                };
            };
            rooms: {
                [key: string]: {
                    name: string;
                    kind: null | components["schemas"]["RoomKind"];
                    owner: string | null;
                };
            };
            /** @description The reason why a person or room has no name, by id. An id is absent until the archive has asked WeCom about it. */
            missing: {
                [key: string]: components["schemas"]["MissingReason"];
            };
        };
        Consent: {
            external_contact: string;
            /** @description The member of the single chat. null for a room. */
            member: string | null;
            room: string | null;
            /**
             * @description default_agree: the contact never answered, which WeCom counts as agreement.
             * @enum {string}
             */
            status: "agree" | "disagree" | "default_agree";
            /** @description When the contact answered. null for a contact without an answer. */
            changed_at: components["schemas"]["TimeOrNull"];
            /**
             * @description The origin of the answer.
             * @enum {string}
             */
            source: "message" | "event" | "check";
            /** @description When the archive received the answer. */
            at: components["schemas"]["Time"];
        };
        /** @description Pairs of a contact and a member, or of a contact and a room, by their newest answer. */
        ConsentCounts: {
            agree: number;
            /** @description WeCom hands out no further messages of these contacts. */
            disagree: number;
            /** @description The contact has not answered, which counts as agreed. */
            default_agree: number;
        };
        /**
         * @example {
         *       "consents": [
         *         {
         *           "external_contact": "wmAAA",
         *           "member": "lin.hua",
         *           "room": null,
         *           "status": "disagree",
         *           "changed_at": "2026-01-31T08:00:00.000Z",
         *           "source": "message",
         *           "at": "2026-01-31T08:00:02.123Z"
         *         }
         *       ],
         *       "names": {
         *         "people": {
         *           "lin.hua": {
         *             "name": "林华",
         *             "kind": "member",
         *             "avatar": null,
         *             "company": null
         *           }
         *         },
         *         "rooms": {},
         *         "missing": {}
         *       },
         *       "next": null
         *     }
         */
        ConsentPage: {
            consents: components["schemas"]["Consent"][];
            names: components["schemas"]["Names"];
            next: components["schemas"]["Token"];
        };
        LedgerRow: {
            /** @enum {string} */
            kind: "page" | "gap";
            /** @description The archive asked WeCom for the records after this seq. */
            after: components["schemas"]["Seq"];
            first: components["schemas"]["Seq"];
            last: components["schemas"]["Seq"];
            count: number;
            /** @description The digest of the page as WeCom sent it, or of the evidence of a gap. */
            sha256: components["schemas"]["Sum"];
            size: number;
            at: components["schemas"]["Time"];
            /** @description The day whose statement counts the row. */
            day: components["schemas"]["Day"];
            reason: string;
            evidence: string;
            prev: components["schemas"]["Sum"];
            hash: components["schemas"]["Sum"];
            /** @enum {string} */
            state: "requested" | "decoded" | "stuck";
            tries: number;
            result: null | {
                at: components["schemas"]["Time"];
                stored: number;
                unreadable: number;
                set_aside: components["schemas"]["ReasonCounts"];
                types: {
                    [key: string]: number;
                };
                /** @description The files that its messages name, each counted once. */
                files: number;
            };
        };
        /**
         * @example {
         *       "rows": [
         *         {
         *           "kind": "page",
         *           "after": "4711",
         *           "first": "4712",
         *           "last": "4721",
         *           "count": 10,
         *           "sha256": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
         *           "size": 12340,
         *           "at": "2026-01-31T08:00:00.123Z",
         *           "day": "2026-01-31",
         *           "reason": "",
         *           "evidence": "",
         *           "prev": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
         *           "hash": "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
         *           "state": "decoded",
         *           "tries": 1,
         *           "result": {
         *             "at": "2026-01-31T08:00:01.000Z",
         *             "stored": 9,
         *             "unreadable": 0,
         *             "set_aside": {
         *               "no_key": 1
         *             },
         *             "types": {
         *               "text": 8,
         *               "image": 1
         *             },
         *             "files": 1
         *           }
         *         }
         *       ],
         *       "next": null
         *     }
         */
        LedgerPage: {
            rows: components["schemas"]["LedgerRow"][];
            /** @description Pass it as `from`. null: there are no more rows now. */
            next: null | components["schemas"]["Seq"];
        };
        /**
         * @description journal_damaged: the bytes of the page are absent or changed, so its records are unknown. In a list of records, one
         *     entry with the first seq of the page stands for all its records. Ledger rows and statements count all of them.
         * @enum {string}
         */
        Reason: "no_key" | "malformed_record" | "bad_key_text" | "library_refused" | "library_crashed" | "library_hung" | "journal_damaged";
        ReasonCounts: {
            [key: string]: number;
        };
        Activity: {
            days: {
                day: components["schemas"]["Day"];
                pages: number;
                gaps: number;
                /** @description Records that were pulled. */
                pulled: number;
                /** @description Messages that were stored. */
                stored: number;
                /** @description Records that are set aside. */
                set_aside: number;
                /** @description Records of pages that are not decoded yet. */
                waiting: number;
                /** @description Stored messages by kind. */
                types: {
                    [key: string]: number;
                };
                /** @description false: the day had too many rows for one answer; the counts are of the first ones. */
                whole: boolean;
            }[];
            next: null | components["schemas"]["Day"];
        };
        /**
         * @example {
         *       "day": "2026-01-31",
         *       "closed": true,
         *       "whole": true,
         *       "opening": {
         *         "seq": "4711",
         *         "hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
         *       },
         *       "closing": {
         *         "seq": "4721",
         *         "hash": "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"
         *       },
         *       "rows": 1,
         *       "broken_after": null,
         *       "first_seq": "4712",
         *       "last_seq": "4721",
         *       "pages": 1,
         *       "decoded": true,
         *       "waiting": {
         *         "pages": 0,
         *         "records": 0
         *       },
         *       "pulled": 10,
         *       "stored": 9,
         *       "unreadable": 0,
         *       "set_aside": {
         *         "no_key": 1
         *       },
         *       "types": {
         *         "text": 8,
         *         "image": 1
         *       },
         *       "media": {
         *         "named": 1,
         *         "stored": 1,
         *         "waiting": 0,
         *         "mismatch": 0,
         *         "expired": 0,
         *         "failed": 0,
         *         "whole": true,
         *         "sha256": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
         *       },
         *       "gap_count": 0,
         *       "gaps": [],
         *       "losses": []
         *     }
         */
        Statement: {
            day: components["schemas"]["Day"];
            /** @description Whether the day is over and whole. Only the results of decoding still change for a closed day. */
            closed: boolean;
            /** @description false: the day has more rows than one answer reads within seconds, and the statement covers the first of them. */
            whole: boolean;
            /** @description The end of the chain before the day. It equals the closing of the day before. */
            opening: components["schemas"]["Link"];
            /** @description The end of the chain after the last row of the day. It equals `opening` if the day has no row. */
            closing: components["schemas"]["Link"];
            /** @description The number of pages and gaps. */
            rows: number;
            /** @description The `after` of the first row that contradicts its hash or does not follow the row before. null: the chain is intact. */
            broken_after: null | components["schemas"]["Seq"];
            /** @description The lowest seq of the first page. */
            first_seq: null | components["schemas"]["Seq"];
            /** @description The highest seq of the last page. */
            last_seq: null | components["schemas"]["Seq"];
            pages: number;
            /** @description Whether every page is decoded. */
            decoded: boolean;
            waiting: {
                /** @description Pages that are not decoded yet. */
                pages: number;
                /** @description Records on these pages. */
                records: number;
            };
            /** @description All records: stored, set aside and on waiting pages. */
            pulled: number;
            /** @description Messages in the view. */
            stored: number;
            /** @description The stored messages that are no JSON object. */
            unreadable: number;
            set_aside: components["schemas"]["ReasonCounts"];
            /** @description Stored messages by msgtype, or by action if the message has no msgtype. */
            types: {
                [key: string]: number;
            };
            media: components["schemas"]["DayMedia"];
            gap_count: number;
            /** @description The first 20 gaps. */
            gaps: components["schemas"]["LedgerRow"][];
            /** @description Possible losses that began on the day. */
            losses: components["schemas"]["Loss"][];
        };
        /**
         * @description The files that the decoded pages of the day name, by their current state. Each file is counted once for the day,
         *     however many messages name it. A file that several days name is counted on each of these days.
         */
        DayMedia: {
            /** @description All files; the sum of the numbers below if `whole`. */
            named: number;
            stored: number;
            waiting: number;
            /** @description Stored files that differ from their message. */
            mismatch: number;
            expired: number;
            failed: number;
            /** @description false: the numbers are lower bounds. The pages of the day name more files than one answer reads (20,000, or fewer if that takes too long), or a page names more than 2000, or a page was decoded by an old version that did not store which files it names (decode that page again). */
            whole: boolean;
            /** @description A digest of the digests of the files that are stored, mismatches included: of one line for each, by id: id, blank, SHA-256 of the file, line feed. null unless `whole`. */
            sha256: null | components["schemas"]["Sum"];
        };
        Link: {
            seq: components["schemas"]["Seq"];
            hash: components["schemas"]["Sum"];
        };
        Loss: {
            /** @description The last time at which WeCom had no more messages. */
            since: components["schemas"]["Time"];
            /** @description When the 120 hours were over. */
            at: components["schemas"]["Time"];
        };
        /**
         * @example {
         *       "types": [
         *         {
         *           "type": "text",
         *           "count": 8,
         *           "first_at": "2026-01-31T08:00:00.123Z",
         *           "known": true
         *         }
         *       ],
         *       "unknown_fields": [
         *         {
         *           "type": "text",
         *           "field": "text.font",
         *           "count": 2,
         *           "first_at": "2026-01-31T08:00:00.123Z"
         *         }
         *       ],
         *       "unreadable": 0,
         *       "whole": true,
         *       "next": null
         *     }
         */
        TypeCounts: {
            types: {
                /** @description The msgtype as sent, or the action if the message has no msgtype. */
                type: string;
                count: number;
                /** @description When the first page with this type was pulled, even before these days. */
                first_at: components["schemas"]["Time"];
                /** @description true: the content shows this type in its own form. false: in the generic form. */
                known: boolean;
            }[];
            /** @description Unknown fields within known types. The message keeps them. */
            unknown_fields: {
                type: string;
                /** @description The name with the object that holds the field, such as text.font. */
                field: string;
                /** @description Messages with the field. A page counts at most 200 names of fields. */
                count: number;
                /** @description When the first page with this field was pulled, even before these days. */
                first_at: components["schemas"]["Time"];
            }[];
            /** @description Messages that are no JSON object and so have no type. */
            unreadable: number;
            /** @description false: the first day has more rows than one answer reads within seconds, and the answer covers the first of them. */
            whole: boolean;
            /** @description The days before this one are counted. Pass it as `from_day`. null: all days are counted. */
            next: null | components["schemas"]["Day"];
        };
        /**
         * @example {
         *       "files": [
         *         {
         *           "message_id": "SZ3QpXMPLEeyJjIjoi",
         *           "parties": [
         *             "lin.hua",
         *             "wmAAA"
         *           ],
         *           "room": null,
         *           "msgid": "7310022004455667788_1767225600123",
         *           "seq": "4711",
         *           "time": "2026-01-31T08:00:00.123Z",
         *           "kind": "image",
         *           "size": 13177,
         *           "state": "failed",
         *           "reason": "sdk_10003",
         *           "tries": 0,
         *           "deadline": "2026-02-05T08:00:00.123Z",
         *           "hours_left": null
         *         }
         *       ],
         *       "whole": true,
         *       "names": {
         *         "people": {
         *           "lin.hua": {
         *             "name": "林华",
         *             "kind": "member",
         *             "avatar": null,
         *             "company": null
         *           }
         *         },
         *         "rooms": {},
         *         "missing": {}
         *       },
         *       "next": null
         *     }
         */
        ListedFiles: {
            files: components["schemas"]["ListedFile"][];
            /** @description false: the corp has more than 2000 waiting files (or, for the other states, more than 2000 files with a problem), and the list covers the first of them. */
            whole: boolean;
            names: components["schemas"]["Names"];
            next: components["schemas"]["Token"];
        };
        /**
         * @description A file, with the first message that named it.
         * @example {
         *       "message_id": "SZ3QpXMPLEeyJjIjoi",
         *       "parties": [
         *         "lin.hua",
         *         "wmAAA"
         *       ],
         *       "room": null,
         *       "msgid": "7310022004455667788_1767225600123",
         *       "seq": "4711",
         *       "time": "2026-01-31T08:00:00.123Z",
         *       "kind": "image",
         *       "size": 13177,
         *       "state": "failed",
         *       "reason": "sdk_10003",
         *       "tries": 0,
         *       "deadline": "2026-02-05T08:00:00.123Z",
         *       "hours_left": null
         *     }
         */
        ListedFile: {
            /** @description The `id` of the message. null if the name of its conversation is too long to store. */
            message_id: null | components["schemas"]["OpaqueID"];
            /** @description The parties of the message's single chat; empty for a room, and for another group. */
            parties: string[];
            room: string | null;
            msgid: string;
            seq: components["schemas"]["Seq"];
            time: components["schemas"]["Time"];
            /** @description The kind of the file, such as image, voice, file. */
            kind: string;
            /** @description Bytes, according to the message. 0 may mean unknown. */
            size: number;
            state: components["schemas"]["FileState"];
            reason: components["schemas"]["FileReason"];
            /** @description Tries that failed in a row. */
            tries: number;
            /** @description When WeCom deletes the file. */
            deadline: components["schemas"]["Time"];
            /** @description The time until the deadline, for a waiting file. */
            hours_left: number | null;
        };
        /**
         * @description waiting: the archive fetches the file, repeatedly until WeCom has deleted it; `reason` says why the file is still
         *     absent. stored: the bucket holds the whole file. mismatch: the bucket holds a file whose md5 or size differs from the
         *     message, even after another fetch. expired: WeCom deleted the file before it was fetched. failed: every try failed
         *     while WeCom had the file. unknown: the archive never requested the file. A replay, or a later message with the same
         *     file, requests the file again unless it is stored.
         * @enum {string}
         */
        FileState: "waiting" | "stored" | "mismatch" | "expired" | "failed" | "unknown";
        /**
         * @description Why the file is absent: a reason of the archive, or `sdk_` with a code of WeCom's library. For a stored file: the
         *     value in its message that is wrong (size_differs).
         */
        FileReason: null | components["schemas"]["FileReasonName"] | string;
        /**
         * @description unknown_fileid: WeCom does not know the id of the file. no_index, chunk_repeats, never_finishes: WeCom's chunks do not
         *     lead to the end of the file. uploads_lost: the store lost parts of the file, repeatedly. library_crashed,
         *     library_hung: WeCom's library crashes, or does not answer, at this file. From trusted_ip on: the `cause` of a trouble
         *     of the company (see Trouble), during which no file is fetched.
         * @enum {string}
         */
        FileReasonName: "md5_differs" | "size_differs" | "deleted_by_wecom" | "unknown_fileid" | "no_index" | "chunk_repeats" | "never_finishes" | "too_large" | "uploads_lost" | "library_crashed" | "library_hung" | "trusted_ip" | "secret_refused" | "archive_disabled" | "corp_unverified" | "secret_kind" | "secret_missing" | "corpid" | "licence_expired" | "not_open" | "rate_limited" | "address_budget" | "refusal_share" | "network" | "wecom_busy" | "tls" | "library_missing" | "library_crash" | "record_too_large" | "unknown_error";
        /**
         * @description The copy of a file in the archive.
         * @example {
         *       "state": "stored",
         *       "reason": null,
         *       "size": 13177,
         *       "type": "image/jpeg",
         *       "hours_left": null,
         *       "link_path": "/v1/corps/ww0123456789abcdef/messages/SZ3QpXMPLEeyJjIjoi/files/0"
         *     }
         */
        FileCopy: {
            state: components["schemas"]["FileState"];
            reason: components["schemas"]["FileReason"];
            /** @description Bytes of the stored copy. */
            size: number | null;
            /** @description The content type that the first bytes show, for a picture, video or sound that a page can show or play (a page must decode audio/amr, audio/amr-wb and audio/silk). null for every other file. */
            type: string | null;
            /** @description For a waiting file: the time until WeCom deletes it. Negative after WeCom may have deleted it. */
            hours_left: number | null;
            /** @description The path that makes a link to the copy. null without a copy. A copy that differs from its message has a path too, even while the file is fetched again. */
            link_path: string | null;
        };
        /**
         * @example {
         *       "url": "https://files.example.com/ww0123456789abcdef/files/9f86d081?X-Amz-Signature=…",
         *       "expires_at": "2026-01-31T08:05:00.123Z",
         *       "content_type": "image/jpeg",
         *       "file_name": "file-9f86d081.jpg",
         *       "size": 13177,
         *       "md5": "0cc175b9c0f1b6a831c399e269772661",
         *       "sha256": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
         *       "state": "stored"
         *     }
         */
        FileLink: {
            /** Format: uri */
            url: string;
            /** @description The link works until then at the latest. */
            expires_at: components["schemas"]["Time"];
            /** @description The content type of the link's answer. application/octet-stream for a file that is only to be saved. */
            content_type: string;
            /** @description A safe name for saving the file. */
            file_name: string;
            /** @description Bytes. */
            size: number;
            md5: string;
            /** @description Of the copy, as it came from WeCom. */
            sha256: string;
            /** @enum {string} */
            state: "stored" | "mismatch";
        };
        LinksInput: {
            files: {
                /** @description The `id` of a message. */
                message: string;
                /** @description The index in `files` of the message's content, from 0. */
                n: number;
            }[];
            /** @description Let the links serve the files as attachments, whatever their types. */
            download?: boolean;
        };
        FileLinks: {
            links: {
                message: string;
                n: number;
                link: null | components["schemas"]["FileLink"];
                /** @description Why there is no link. `unavailable`: the answer would take too long; ask again. */
                problem: null | components["schemas"]["Problem"];
            }[];
        };
        SetAside: {
            seq: components["schemas"]["Seq"];
            /** @description The `after` of the ledger row whose page holds the record. */
            after: components["schemas"]["Seq"];
            msgid: string;
            publickey_ver: number;
            reason: components["schemas"]["Reason"];
            detail: string;
            at: components["schemas"]["Time"];
        };
        /**
         * @example {
         *       "set_aside": [
         *         {
         *           "seq": "4720",
         *           "after": "4711",
         *           "msgid": "7310022004455667788_1767225600123",
         *           "publickey_ver": 2,
         *           "reason": "no_key",
         *           "detail": "",
         *           "at": "2026-01-31T08:00:00.123Z"
         *         }
         *       ],
         *       "next": null
         *     }
         */
        SetAsidePage: {
            set_aside: components["schemas"]["SetAside"][];
            next: components["schemas"]["Token"];
        };
        /** @description `verify` says which of the two it is. */
        ReplayInput: components["schemas"]["DecodeInput"] | components["schemas"]["VerifyInput"];
        /** @description The job decodes pages again from the journal. */
        DecodeInput: {
            /**
             * @default false
             * @constant
             */
            verify?: false;
            /** @description The job covers pages with seqs above this. Default: 0. */
            from_seq?: components["schemas"]["Seq"];
            /** @description The last seq of the job, greater than `from_seq`. Default: the present end of the journal. */
            to_seq?: components["schemas"]["Seq"];
            /**
             * @description Only pages with records set aside.
             * @default false
             */
            set_aside_only?: boolean;
            /** @description Only pages with records of this version. */
            publickey_ver?: components["schemas"]["Version"];
        };
        /** @description The job compares and writes nothing. */
        VerifyInput: {
            /** @constant */
            verify: true;
            /**
             * @description A verification leaves nothing out, and has no `publickey_ver`.
             * @constant
             */
            set_aside_only?: false;
            /** @description As for decoding. */
            from_seq?: components["schemas"]["Seq"];
            /** @description As for decoding. */
            to_seq?: components["schemas"]["Seq"];
        };
        /**
         * @example {
         *       "id": "20260131T080000.000Z-K7NQ2",
         *       "created_at": "2026-01-31T08:00:00Z",
         *       "by": "wang.min",
         *       "from_seq": "0",
         *       "to_seq": "4711",
         *       "set_aside_only": false,
         *       "publickey_ver": null,
         *       "next_seq": "2000",
         *       "pages": 2,
         *       "updated_at": "2026-01-31T08:00:09Z",
         *       "done": false,
         *       "failed": false,
         *       "stopped_by": null,
         *       "progress": 0.425,
         *       "verify": false,
         *       "weekly": false,
         *       "chain_only": false,
         *       "faults": 0,
         *       "findings": []
         *     }
         */
        Replay: {
            id: string;
            /** @description When it was requested; of a weekly verification, when it was due. */
            created_at: components["schemas"]["Time"];
            by: string;
            from_seq: components["schemas"]["Seq"];
            to_seq: null | components["schemas"]["Seq"];
            set_aside_only: boolean;
            publickey_ver: number | null;
            /** @description Pages whose `after` is lower are done. */
            next_seq: components["schemas"]["Seq"];
            /** @description Pages decoded or rows verified so far. */
            pages: number;
            updated_at: components["schemas"]["Time"];
            done: boolean;
            /** @description The job ended without a result, because its runs made no progress for five hours. `done` is true too. The rest of its range is unchanged. */
            failed: boolean;
            /** @description The user who stopped the job. `done` is true too. The rest of its range is unchanged. */
            stopped_by: string | null;
            /** @description The part of its range of seqs that is done. null before the range is fixed. */
            progress: number | null;
            verify: boolean;
            /** @description The archive itself started this verification. It looks at every row, head and object of the journal, and reads only the pages of the last eight days and 1 in 52 of the older ones. */
            weekly: boolean;
            /** @description WeCom refuses the company's Secret, and the library cannot decrypt without it. This weekly verification therefore did not compare all pages that it read with messages and files. It compared them with their rows. */
            chain_only: boolean;
            /** @description The number of disagreements; 0 without `verify`. A verification that is done with 0 faults, and is neither failed, stopped nor weekly, proves its range. */
            faults: number;
            /** @description The first 100 disagreements. */
            findings: components["schemas"]["Finding"][];
        };
        /**
         * @example {
         *       "after": "4711",
         *       "seq": "4715",
         *       "what": "message_missing"
         *     }
         */
        Finding: {
            /** @description The `after` of the ledger row. */
            after: components["schemas"]["Seq"];
            /** @description The seq of the message. null for the row as a whole. */
            seq: null | components["schemas"]["Seq"];
            /**
             * @description chain_broken: the row does not follow the row before. row_changed: the row contradicts its hash, or
             *     its kind or its time cannot be right.
             *     head_disagrees: the head of the ledger, or a head beside the journal, is no row of the chain. rows_missing: the chain
             *     ends before the head of the ledger. head_missing: a day after that of the first row has no head beside the journal.
             *     row_removed: the journal has a page that no row names; `after` is that of the page. end_removed: the same, behind
             *     the last row. records_differ: the first seq, last seq or count of the row is not that of its page. gap_over_page:
             *     the journal has a page in the range of a gap. gap_unproved: the journal lacks the evidence of a gap with
             *     this end and reason.
             *     journal_missing, journal_changed: the object of the page is absent, or has
             *     another digest. not_decoded: the page is not decoded yet. message_missing, message_differs: the view lacks the
             *     message, or holds another one. message_extra: the view has a message that by its origin or seq belongs to
             *     the page, and the page does not have it. set_aside_missing: a record that cannot be decrypted is not in the
             *     list of records set aside. set_aside_stale: a record is in that list and should not be. revocation_missing:
             *     a revoked message is not marked, or its mark contradicts the revocation. revocation_extra: a message is
             *     marked as revoked without a revocation. lists_incomplete: the list of a party and day lacks a conversation.
             *     result_differs: the counts of the row differ from the page. file_missing: a file that a message names has no
             *     row, or its object is absent. file_differs: the object has another size or checksum than its row,
             *     or the file was given up, or waits for over six days, and has an object. The job
             *     looks for extra messages and revocations only in the chats of the page and in the time of the page; only a
             *     rebuild of the view removes extra entries elsewhere.
             * @enum {unknown}
             */
            what: "chain_broken" | "row_changed" | "head_disagrees" | "head_missing" | "row_removed" | "end_removed" | "records_differ" | "gap_over_page" | "gap_unproved" | "journal_missing" | "journal_changed" | "not_decoded" | "message_missing" | "message_differs" | "message_extra" | "set_aside_missing" | "set_aside_stale" | "revocation_missing" | "revocation_extra" | "lists_incomplete" | "rows_missing" | "result_differs" | "file_missing" | "file_differs";
        };
        Event: {
            /** @description sent_at if the event arrived at most an hour later and at most five minutes earlier by our clock; otherwise arrived_at. The event is listed on the day of this time. */
            at: components["schemas"]["Time"];
            /** @description The CreateTime element, by the sender's clock. null if it is absent. */
            sent_at: components["schemas"]["TimeOrNull"];
            /** @description By our clock. */
            arrived_at: components["schemas"]["Time"];
            /** @description The Event element. */
            type: string;
            /** @description The ChangeType element. Empty if it is absent. */
            change_type: string;
            /** @description The XML exactly as decrypted. */
            body: string;
            /** @description What arrived: with the Token and EncodingAESKey of that time, it shows that the event is authentic. */
            envelope: {
                /** @description SHA-1 over the sorted token, timestamp, nonce and encrypt. */
                msg_signature: string;
                timestamp: string;
                nonce: string;
                /** @description The encrypted XML in base64. */
                encrypt: string;
            };
        };
        /**
         * @example {
         *       "events": [
         *         {
         *           "at": "2026-01-31T08:00:00.000Z",
         *           "sent_at": "2026-01-31T08:00:00.000Z",
         *           "arrived_at": "2026-01-31T08:00:00.345Z",
         *           "type": "change_external_contact",
         *           "change_type": "msg_audit_approved",
         *           "body": "PHhtbD7igKY8L3htbD4=",
         *           "envelope": {
         *             "msg_signature": "5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3",
         *             "timestamp": "1769846400",
         *             "nonce": "1372623149",
         *             "encrypt": "RypEvHKD8QQKFhvQ6QleEB4J58tiPdvo"
         *           }
         *         }
         *       ],
         *       "dropped": 0,
         *       "next": null
         *     }
         */
        EventPage: {
            events: components["schemas"]["Event"][];
            /** @description How many events arrived on this day beyond the bound and are not stored. */
            dropped: number;
            next: components["schemas"]["Token"];
        };
        Reading: {
            /** @description The start of the ten minutes. */
            at: components["schemas"]["Time"];
            /** @description The user who read. */
            by: string;
            /**
             * @description The kind of the conversation. null for a list of conversations.
             * @enum {string|null}
             */
            kind: "room" | "single" | "own" | "group" | "unplaced" | null;
            /** @description The parties that the conversation's id names, or the party of the list. Empty for a room, a group, and the lists `rooms`, `day` and `unplaced`. */
            parties: string[];
            /** @description The id of the room whose messages or list were read. */
            room: string | null;
            role: components["schemas"]["Role"];
            /** @description The id of the conversation whose messages were read. null for a list of conversations. */
            conversation: string | null;
            /**
             * @description Which list of conversations was read: that of a party, of a room, of all rooms, of a day, or of messages that name no participant. null for messages.
             * @enum {string|null}
             */
            list: "party" | "room" | "rooms" | "day" | "unplaced" | null;
            /** @description The party whose list was read, if `list` is `party`. */
            party: string | null;
            /** @description The Beijing date whose chats were listed, if `list` is `day`. */
            day: string | null;
        };
        ReadingPage: {
            readings: components["schemas"]["Reading"][];
            names: components["schemas"]["Names"];
            next: components["schemas"]["Token"];
        };
        SeenInput: {
            /** @description The `id` of a conversation. */
            conversation: string;
            /**
             * Format: date-time
             * @description The time of the newest message that the user has seen.
             */
            until: string;
        };
        Seen: {
            seen_at: components["schemas"]["Time"];
        };
        Conversation: {
            id: components["schemas"]["OpaqueID"];
            /** @enum {string} */
            kind: "room" | "single" | "own" | "group" | "unplaced";
            /** @description Of a single chat both parties; of an own chat its one party; of other chats the parties of the newest message, the first 100 by id. */
            parties: string[];
            /** @description The number of all parties. */
            party_count: number;
            room: string | null;
            last_at: components["schemas"]["Time"];
            /** @description Up to when the token's subject has seen the conversation. null before the first note of it. */
            seen_at: components["schemas"]["TimeOrNull"];
            /** @description The newest message that the party saw. For a member who left a room, that is the last message before the member left. null in two rare cases: the message is too far back, or malformed and too long for a list. */
            newest: null | components["schemas"]["Preview"];
        };
        Preview: {
            message_id: components["schemas"]["OpaqueID"];
            time: components["schemas"]["Time"];
            from: string;
            action: string;
            type: string;
            /** @description The `kind` of the message's content. */
            kind: string;
            /** @description The beginning of the message as text, such as [图片] for a picture. */
            text: string;
        };
        ConversationDetail: {
            id: components["schemas"]["OpaqueID"];
            /** @enum {string} */
            kind: "room" | "single" | "own" | "group" | "unplaced";
            /** @description As in a list of conversations. */
            parties: string[];
            party_count: number;
            room: string | null;
            last_at: components["schemas"]["Time"];
            /** @description Up to when the token's subject has seen the conversation. null before the first note of it. */
            seen_at: components["schemas"]["TimeOrNull"];
            /** @description The newest message. null if it is malformed and too long for a list. */
            newest: null | components["schemas"]["Preview"];
            /** @description The time of the first message. null if finding it takes too long. */
            first_at: components["schemas"]["TimeOrNull"];
            /** @description null outside rooms. Name and kind are those of today. A limited token gets neither members nor owner: they may have changed after the last day on which one of its members took part. */
            room_detail: null | components["schemas"]["Room"];
            /** @description The consent of the customer of a single chat, or the first 200 of a room; `listConsents` has all. Empty for a limited token in a room. */
            consents: components["schemas"]["Consent"][];
            names: components["schemas"]["Names"];
        };
        ConversationDays: {
            /** @description The days of the month with messages that the token may see, in Beijing, in their order. */
            days: components["schemas"]["Day"][];
            /** @description false if finding the days takes too long: further days may have messages. */
            whole: boolean;
            /**
             * Format: date
             * @description The day of the first message. null without one, or if finding it takes too long.
             */
            earliest: string | null;
            /**
             * Format: date
             * @description The day of the last message.
             */
            latest: string | null;
        };
        ConversationPage: {
            conversations: components["schemas"]["Conversation"][];
            names: components["schemas"]["Names"];
            next: components["schemas"]["Token"];
        };
        Message: {
            id: components["schemas"]["OpaqueID"];
            conversation: components["schemas"]["OpaqueID"];
            /** @description null for a limited token. */
            seq: null | components["schemas"]["Seq"];
            msgid: string;
            /** @description When the message was sent. If the message has no time, when it was pulled. */
            time: components["schemas"]["Time"];
            /** @description send, recall or switch, as sent. Empty for an unreadable message. */
            action: string;
            from: string;
            to: string[];
            room: string | null;
            /** @description The msgtype as sent. Unknown types occur. */
            type: string;
            publickey_ver: number;
            /** @description Bytes of the message. */
            size: number;
            sha256: components["schemas"]["Sum"];
            /** @description The message exactly as decrypted. null for a message over 300 KiB, whose bytes are read by id, and where `omit` names it. */
            raw: string | null;
            /** @description The message's own JSON, unchanged. null for a message that is no JSON object in UTF-8 or over 300 KiB, and where `omit` names it. */
            json: Record<string, never> | null;
            content: components["schemas"]["MessageContent"];
            /** @description null unless the message was revoked. */
            revoked: null | components["schemas"]["Revocation"];
            /** @description Only in the answer for a single message. A list has its own names. */
            names?: components["schemas"]["Names"];
        };
        /**
         * @description A piece of a message that a page draws by itself. `type` says which piece it is. A mixed message is the list of its
         *     parts. Texts are unchanged, as their senders wrote them: a page must escape them and must not trust addresses.
         */
        Part: components["schemas"]["TextPart"] | components["schemas"]["ImagePart"] | components["schemas"]["VoicePart"] | components["schemas"]["VideoPart"] | components["schemas"]["EmotionPart"] | components["schemas"]["AttachmentPart"] | components["schemas"]["LinkPart"] | components["schemas"]["WeappPart"] | components["schemas"]["LocationPart"] | components["schemas"]["CardPart"] | components["schemas"]["RedPacketPart"] | components["schemas"]["MeetingPart"] | components["schemas"]["MeetingNotificationPart"] | components["schemas"]["DocPart"] | components["schemas"]["NewsPart"] | components["schemas"]["CalendarPart"] | components["schemas"]["VotePart"] | components["schemas"]["TodoPart"] | components["schemas"]["CollectPart"] | components["schemas"]["SolitairePart"] | components["schemas"]["NotePart"] | components["schemas"]["ChatRecordPart"] | components["schemas"]["MeetingVoiceCallPart"] | components["schemas"]["VoipDocSharePart"] | components["schemas"]["SphFeedPart"] | components["schemas"]["VoipTextPart"] | components["schemas"]["QyDiskFilePart"] | components["schemas"]["ConsentPart"] | components["schemas"]["RevokePart"] | components["schemas"]["SwitchPart"] | components["schemas"]["GenericPart"] | components["schemas"]["RestPart"];
        /**
         * @description Text or markdown.
         * @example {
         *       "type": "text",
         *       "text": "「陈晨：明天几点到？」\n- - - - - - - - - - - - - - -\n九点",
         *       "quote": {
         *         "who": "陈晨",
         *         "text": "明天几点到？",
         *         "reply": "九点"
         *       }
         *     }
         */
        TextPart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "text" | "markdown";
            /** @description The whole text, including the quote. */
            text: string;
            quote?: components["schemas"]["Quote"];
        };
        /**
         * @description A picture.
         * @example {
         *       "type": "image",
         *       "file": 0
         *     }
         */
        ImagePart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "image";
            file: components["schemas"]["FileIndex"];
        };
        /**
         * @description A voice message.
         * @example {
         *       "type": "voice",
         *       "seconds": 10,
         *       "file": 0
         *     }
         */
        VoicePart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "voice";
            seconds: number;
            file: components["schemas"]["FileIndex"];
        };
        /**
         * @description A video.
         * @example {
         *       "type": "video",
         *       "seconds": 108,
         *       "file": 0
         *     }
         */
        VideoPart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "video";
            seconds: number;
            file: components["schemas"]["FileIndex"];
        };
        /**
         * @description A sticker.
         * @example {
         *       "type": "emotion",
         *       "format": "gif",
         *       "width": 290,
         *       "height": 290,
         *       "file": 0
         *     }
         */
        EmotionPart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "emotion";
            /** @description gif or png; other values as sent. */
            format: string;
            /** @description Pixels. */
            width: number;
            height: number;
            file: components["schemas"]["FileIndex"];
        };
        /**
         * @description A file that was sent as a file.
         * @example {
         *       "type": "file",
         *       "name": "报价单.docx",
         *       "file": 0
         *     }
         */
        AttachmentPart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "file";
            name: string;
            file: components["schemas"]["FileIndex"];
        };
        /**
         * @description A shared page.
         * @example {
         *       "type": "link",
         *       "title": "邀请加入群聊",
         *       "description": "进入可查看详情",
         *       "url": "https://example.com/join?v=1",
         *       "image_url": "https://example.com/a.png"
         *     }
         */
        LinkPart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "link";
            title: string;
            description: string;
            url: string;
            image_url: string;
        };
        /**
         * @description A mini program.
         * @example {
         *       "type": "weapp",
         *       "title": "请阅读服务须知",
         *       "description": "需同意存档聊天记录",
         *       "username": "gh_0000@app",
         *       "name": "服务须知",
         *       "appid": "",
         *       "page": ""
         *     }
         */
        WeappPart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "weapp";
            title: string;
            description: string;
            /** @description gh_…@app. */
            username: string;
            /** @description 服务须知 for the notice that asks for consent. */
            name: string;
            appid: string;
            page: string;
        };
        /**
         * @description A place.
         * @example {
         *       "type": "location",
         *       "longitude": 121.473701,
         *       "latitude": 31.230416,
         *       "title": "某大厦",
         *       "address": "上海市黄浦区某路1号",
         *       "zoom": 15
         *     }
         */
        LocationPart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "location";
            /** @description 0 beside the latitude 0 if the place is unknown. */
            longitude: number;
            latitude: number;
            title: string;
            address: string;
            zoom: number;
        };
        /**
         * @description A recommended person.
         * @example {
         *       "type": "card",
         *       "corp": "微信联系人",
         *       "userid": "wmEXAMPLEcustomer003"
         *     }
         */
        CardPart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "card";
            /** @description 微信联系人 for WeChat users. */
            corp: string;
            userid: string;
        };
        /**
         * @description A red packet.
         * @example {
         *       "type": "redpacket",
         *       "packet": "ordinary",
         *       "wish": "恭喜发财",
         *       "count": 1,
         *       "fen": 3000,
         *       "amount": "30.00"
         *     }
         */
        RedPacketPart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "redpacket" | "external_redpacket";
            /** @description ordinary, lucky or incentive; other values as sent. */
            packet: string;
            wish: string;
            /** @description 0 if unknown. */
            count: number;
            /** @description The sum of all packets, in units of 0.01 CNY. */
            fen: number;
            /** @description The sum in yuan. Empty if unknown. */
            amount: string;
        };
        /**
         * @description An invitation to a meeting, or the answer to one.
         * @example {
         *       "type": "meeting",
         *       "event": "answer",
         *       "topic": "晚会",
         *       "start": 1767229200000,
         *       "end": 1767232800000,
         *       "address": "",
         *       "remarks": "",
         *       "meeting_id": "1210342560",
         *       "status": "accepted",
         *       "status_text": "参加"
         *     }
         */
        MeetingPart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "meeting";
            /** @description invitation or answer; other values as sent. */
            event: string;
            topic: string;
            start: components["schemas"]["Millis"];
            end: components["schemas"]["Millis"];
            address: string;
            remarks: string;
            /** @description The number may exceed 2^53. */
            meeting_id: string;
            /** @description The status of an answer. Empty if it is absent. */
            status: string;
            /** @description The status in Chinese. Empty if the status is unknown. */
            status_text: string;
        };
        /**
         * @description A line about a meeting in progress.
         * @example {
         *       "type": "meeting_notification",
         *       "meeting_id": "1210342560",
         *       "notification": "1",
         *       "text": "会议时间已更改"
         *     }
         */
        MeetingNotificationPart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "meeting_notification";
            meeting_id: string;
            /** @description A number whose meaning WeCom does not document. */
            notification: string;
            text: string;
        };
        /**
         * @description An online document.
         * @example {
         *       "type": "docmsg",
         *       "title": "排期表",
         *       "url": "https://doc.weixin.qq.com/sheet/x",
         *       "creator": "lin.hua"
         *     }
         */
        DocPart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "docmsg";
            title: string;
            url: string;
            creator: string;
        };
        /**
         * @description A robot's articles.
         * @example {
         *       "type": "news",
         *       "articles": [
         *         {
         *           "title": "日报",
         *           "description": "今日摘要",
         *           "url": "https://example.com/d",
         *           "image_url": "https://example.com/d.jpg"
         *         }
         *       ]
         *     }
         */
        NewsPart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "news";
            articles: {
                title: string;
                description: string;
                url: string;
                image_url: string;
            }[];
        };
        /**
         * @description An entry in a calendar. People appear by name, without ids.
         * @example {
         *       "type": "calendar",
         *       "title": "复盘会",
         *       "creator": "林华",
         *       "attendees": [
         *         "甲",
         *         "乙"
         *       ],
         *       "start": 1767236400000,
         *       "end": 1767240000000,
         *       "place": "",
         *       "remarks": ""
         *     }
         */
        CalendarPart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "calendar";
            title: string;
            creator: string;
            attendees: string[];
            start: components["schemas"]["Millis"];
            end: components["schemas"]["Millis"];
            place: string;
            remarks: string;
        };
        /**
         * @description A vote that a person started or joined.
         * @example {
         *       "type": "vote",
         *       "event": "started",
         *       "title": "团建去哪",
         *       "options": [
         *         "山",
         *         "海"
         *       ],
         *       "vote_id": "v-1767225701"
         *     }
         */
        VotePart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "vote";
            /** @description started or joined; other values as sent. */
            event: string;
            title: string;
            /** @description For joined: the chosen options. */
            options: string[];
            /** @description The id that the two events share. */
            vote_id: string;
        };
        /**
         * @description A to-do.
         * @example {
         *       "type": "todo",
         *       "title": "来自某消息",
         *       "content": "周五前给客户回电"
         *     }
         */
        TodoPart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "todo";
            /** @description The source of the to-do. */
            title: string;
            content: string;
        };
        /**
         * @description A form that members fill in.
         * @example {
         *       "type": "collect",
         *       "title": "午餐登记",
         *       "room": "项目群",
         *       "creator": "林华",
         *       "created": "2026-01-01 08:01:43",
         *       "created_at": 1767225703000,
         *       "questions": [
         *         {
         *           "id": "1",
         *           "question": "姓名",
         *           "kind": "Text"
         *         }
         *       ]
         *     }
         */
        CollectPart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "collect";
            title: string;
            /** @description The name of the room. */
            room: string;
            /** @description A display name in the room. */
            creator: string;
            /** @description The time as sent. */
            created: string;
            created_at: components["schemas"]["Millis"];
            questions: {
                id: string;
                question: string;
                /** @description Text, Number, Date, Time. */
                kind: string;
            }[];
        };
        /**
         * @description A list to which each member adds a line.
         * @example {
         *       "type": "solitaire",
         *       "title": "报名接龙",
         *       "fields": []
         *     }
         */
        SolitairePart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "solitaire";
            title: string;
            fields: components["schemas"]["PartField"][];
        };
        /**
         * @description A note of several parts.
         * @example {
         *       "type": "note",
         *       "title": "",
         *       "parts": [
         *         {
         *           "type": "text",
         *           "text": "会议纪要"
         *         }
         *       ]
         *     }
         */
        NotePart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "note";
            title: string;
            parts: components["schemas"]["Part"][];
        };
        /**
         * @description A bundle of forwarded messages. WeCom does not report their senders.
         * @example {
         *       "type": "chatrecord",
         *       "title": "群聊的聊天记录",
         *       "items": [
         *         {
         *           "time": 1767220010000,
         *           "from_room": false,
         *           "parts": [
         *             {
         *               "type": "text",
         *               "text": "好的"
         *             }
         *           ]
         *         }
         *       ]
         *     }
         */
        ChatRecordPart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "chatrecord";
            title: string;
            items: {
                time: components["schemas"]["Millis"];
                from_room: boolean;
                parts: components["schemas"]["Part"][];
            }[];
        };
        /**
         * @description The recording of a voice call.
         * @example {
         *       "type": "meeting_voice_call",
         *       "call_id": "grEXAMPLEvoice0001",
         *       "end": 1767225767000,
         *       "file": 0,
         *       "demos": [
         *         {
         *           "name": "a.docx",
         *           "by": "woEXAMPLEpartner001",
         *           "start": 1767225730000,
         *           "end": 1767225740000
         *         }
         *       ],
         *       "screens": [
         *         {
         *           "by": "woEXAMPLEpartner001",
         *           "start": 1767225750000,
         *           "end": 1767225755000
         *         }
         *       ]
         *     }
         */
        MeetingVoiceCallPart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "meeting_voice_call";
            call_id: string;
            end: components["schemas"]["Millis"];
            file: components["schemas"]["FileIndex"];
            demos: {
                name: string;
                by: string;
                start: components["schemas"]["Millis"];
                end: components["schemas"]["Millis"];
            }[];
            screens: {
                by: string;
                start: components["schemas"]["Millis"];
                end: components["schemas"]["Millis"];
            }[];
        };
        /**
         * @description A document that was shown in a call, with its file.
         * @example {
         *       "type": "voip_doc_share",
         *       "call_id": "grEXAMPLEvoip0001",
         *       "name": "方案.pdf",
         *       "file": 0
         *     }
         */
        VoipDocSharePart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "voip_doc_share";
            call_id: string;
            name: string;
            file: components["schemas"]["FileIndex"];
        };
        /**
         * @description A post in WeChat Channels.
         * @example {
         *       "type": "sphfeed",
         *       "feed": "video",
         *       "name": "某旅行号",
         *       "description": "缆车 #旅行"
         *     }
         */
        SphFeedPart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "sphfeed";
            /** @description picture, video or live; other values as sent. */
            feed: string;
            /** @description The name of the channel. */
            name: string;
            description: string;
        };
        /**
         * @description The line in a chat that records a call.
         * @example {
         *       "type": "voiptext",
         *       "seconds": 9,
         *       "call": "voice"
         *     }
         */
        VoipTextPart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "voiptext";
            seconds: number;
            /** @description video, voice, group_video or group_voice; other values as sent. */
            call: string;
        };
        /**
         * @description A file in WeDrive. The archive receives only its name.
         * @example {
         *       "type": "qydiskfile",
         *       "name": "report.log"
         *     }
         */
        QyDiskFilePart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "qydiskfile";
            name: string;
        };
        /**
         * @description The answer of a customer to the notice that chats are archived.
         * @example {
         *       "type": "agree",
         *       "agreed": true,
         *       "userid": "wmEXAMPLEcustomer001",
         *       "at": 1767225826656
         *     }
         */
        ConsentPart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "agree" | "disagree";
            agreed: boolean;
            userid: string;
            at: components["schemas"]["Millis"];
        };
        /**
         * @description The revocation of a message. The revoked message stays in the archive.
         * @example {
         *       "type": "revoke",
         *       "msgid": "7310022004455667788_1767225600123"
         *     }
         */
        RevokePart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "revoke";
            /** @description The msgid of the revoked message. The archive may lack that message. */
            msgid: string;
        };
        /**
         * @description A member switched to another corp in the client.
         * @example {
         *       "type": "switch",
         *       "userid": "lin.hua",
         *       "at": 1767225720840
         *     }
         */
        SwitchPart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "switch";
            userid: string;
            at: components["schemas"]["Millis"];
        };
        /**
         * @description An unknown type or form, or a message that is no JSON object. After the part of a known type, what that part leaves unread.
         * @example {
         *       "type": "generic",
         *       "name": "hologram",
         *       "fields": [
         *         {
         *           "name": "depth",
         *           "value": "3"
         *         }
         *       ],
         *       "raw": "{\"depth\":3}"
         *     }
         */
        GenericPart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "generic";
            /** @description The type as sent. */
            name: string;
            /** @description Fields that a page shows as a table. */
            fields: components["schemas"]["PartField"][];
            /** @description The payload as JSON text. */
            raw: string;
        };
        /**
         * @description Parts that were not read, because they nest too deep or are too many.
         * @example {
         *       "type": "more",
         *       "count": 1,
         *       "raw": "[{\"type\":\"text\",\"content\":\"…\"}]"
         *     }
         */
        RestPart: {
            /**
             * @description discriminator enum property added by openapi-typescript
             * @enum {string}
             */
            type: "too_deep" | "more";
            /** @description The number of items. */
            count: number;
            /** @description JSON text. */
            raw: string;
        };
        PartField: {
            name: string;
            /** @description A text or JSON. The beginning of a long value. */
            value: string;
        };
        /** @description A reply with its quote, as separate texts. */
        Quote: {
            /** @description A display name. Empty if it is unknown. */
            who: string;
            text: string;
            reply: string;
        };
        /** @description Milliseconds since 1970. 0 for unknown. */
        Millis: number;
        /** @description The index in `files` of the content. null if WeCom names no file. */
        FileIndex: number | null;
        /**
         * @description The message in a form that a page can draw without knowledge of WeCom's formats. The archive makes it again for each answer.
         * @example {
         *       "kind": "mixed",
         *       "text": "看图\n[图片]",
         *       "whole": true,
         *       "parts": [
         *         {
         *           "type": "text",
         *           "text": "看图"
         *         },
         *         {
         *           "type": "image",
         *           "file": 0
         *         }
         *       ],
         *       "files": [
         *         {
         *           "path": [
         *             1
         *           ],
         *           "kind": "image",
         *           "name": "",
         *           "ext": "",
         *           "size": 13177,
         *           "md5": "0cc175b9c0f1b6a831c399e269772661",
         *           "seconds": 0,
         *           "copy": {
         *             "state": "waiting",
         *             "reason": null,
         *             "size": null,
         *             "type": null,
         *             "hours_left": 93.5,
         *             "link_path": null
         *           }
         *         }
         *       ],
         *       "revokes": null,
         *       "revokes_id": null,
         *       "consent": null,
         *       "unknown": []
         *     }
         */
        MessageContent: {
            /** @description The msgtype in a uniform spelling, or switch; unknown for an unknown type; unreadable for a message that is not a JSON object. */
            kind: string;
            /** @description The message as text: the whole text that a person wrote, and up to 4000 characters of other content. Up to 100 characters if `whole` is false. */
            text: string;
            /** @description false: the message is too long for the answer, and `parts` and `unknown` are empty. `files` is empty too in a list, if the files do not fit, or if the message exceeds 8 MiB. A list shows no message over 300 KiB whole: read the message by its id, or its bytes. The text of a message over 4 MiB is not read. A message with more than 5000 files is not whole, and `files` is empty; each file still has its link. */
            whole: boolean;
            parts: components["schemas"]["Part"][];
            /** @description All files that the message names, at any depth. */
            files: components["schemas"]["MessageFile"][];
            /** @description The msgid of the message that this message revokes. */
            revokes: string | null;
            /** @description The `id` of that message. null if it revokes none, if the token may not see it, or if it is more than an hour older; then `listMessages` with `msgid` finds it. */
            revokes_id: string | null;
            consent: null | components["schemas"]["ConsentPart"];
            /** @description Unknown fields and types that WeCom sent, such as image.hue. */
            unknown: string[];
        };
        /** @description What the sender's client says about a file. It may be false, and name and ext may hold any text. */
        MessageFile: {
            /** @description The place of the file: an index into parts, then alternately into the items of a chatrecord and the parts of an item or note. */
            path: number[];
            kind: string;
            name: string;
            /** @description The extension without a dot. */
            ext: string;
            /** @description Bytes. 0 may mean unknown. */
            size: number;
            /** @description Hex. Empty if WeCom does not report it. */
            md5: string;
            seconds: number;
            copy: components["schemas"]["FileCopy"];
        };
        /**
         * @description The revocation of the message. The message stays in the archive unchanged.
         * @example {
         *       "by": "lin.hua",
         *       "at": "2026-01-31T08:01:00.000Z",
         *       "after_seconds": 60
         *     }
         */
        Revocation: {
            /** @description The user who revoked the message. */
            by: string;
            at: components["schemas"]["Time"];
            /** @description The time between sending and revocation. */
            after_seconds: number;
        };
        MessagePage: {
            names: components["schemas"]["Names"];
            /** @description The messages in the requested order. */
            messages: components["schemas"]["Message"][];
            /** @description The `id` of the first message at or after `around` or `at`. null without these, on the further pages, and if the list has none. */
            anchor: string | null;
            next: components["schemas"]["Token"];
            prev: components["schemas"]["Token"];
            /** @description Pass it as `page`, now or later, for what is newer than this page. Unlike `next` it is there at the end of the list too, so a page that polls repeats nothing. */
            resume: string;
        };
        SearchPage: {
            hits: {
                message_id: components["schemas"]["OpaqueID"];
                time: components["schemas"]["Time"];
                from: string;
                kind: string;
                /** @description The text around the first match, or the name of the file with the match. */
                text: string;
                /** @description Where the matches are in `text`: begin and end, in UTF-16 code units as JavaScript counts them. */
                spans: number[][];
            }[];
            names: components["schemas"]["Names"];
            scanned: {
                /** @description How many messages this call looked at; for a limited token, of those that it may see. */
                messages: number;
                /** @description The time of the last message that it looked at; for a limited token, of those that it may see. null at the end of the list, and if it looked at none. */
                until: components["schemas"]["TimeOrNull"];
            };
            next: components["schemas"]["Token"];
        };
        MessagesInput: {
            /** @description The `id`s of messages. */
            ids: string[];
            /** @description Set these fields of each message to null. */
            omit?: ("raw" | "json")[];
        };
        MessageBatch: {
            messages: components["schemas"]["Message"][];
            missing: {
                id: string;
                /** @description `not-found`, or `unavailable` for a message that the answer has no room or no time for: ask for it again. */
                problem: components["schemas"]["Problem"];
            }[];
            names: components["schemas"]["Names"];
        };
    };
    responses: {
        /** @description The answer is still that of `If-None-Match`. The body is empty. A reading is recorded all the same. */
        NotModified: {
            headers: {
                ETag: components["headers"]["Tag"];
                [name: string]: unknown;
            };
            content?: never;
        };
        /** @description The request has mistakes; `errors` names all of them. An unknown query parameter is a mistake, and so is a body for an operation without a body. */
        Invalid: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "type": "urn:yunduo-archive:problem:invalid-request",
                 *       "title": "请求有误",
                 *       "status": 400,
                 *       "detail": "请按 errors 中的说明逐项修改后重试。",
                 *       "instance": "JKJaXmPLvHcESHA=",
                 *       "errors": [
                 *         {
                 *           "field": "limit",
                 *           "rule": "range",
                 *           "remedy": "请填写 1 到 200 之间的整数。"
                 *         }
                 *       ]
                 *     }
                 */
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The token is absent or unacceptable (in the gateway's form), or it lacks a claim (a problem). */
        Unauthorized: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
                /**
                 * @example {
                 *       "message": "Unauthorized"
                 *     }
                 */
                "application/json": components["schemas"]["GatewayMessage"];
            };
        };
        /** @description The signature is invalid, or the corp is not registered. */
        BadSignature: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The operation does not admit the token's role (`detail` names the roles that it needs) or a limited token, the member is outside the token's `staff`, or a token with the role reader has no `staff` (`staff-missing`). In the gateway's form, the gateway itself refuses the request. */
        Forbidden: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
                /**
                 * @example {
                 *       "message": "Forbidden"
                 *     }
                 */
                "application/json": components["schemas"]["GatewayMessage"];
            };
        };
        /** @description The token's corp has no such resource, or no operation has the address. */
        NotFound: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /**
         * @description The state of the corp prevents the change. `version-proved`: messages proved that the 版本号 belongs to another key.
         *     `secret-missing`: save the Secret first (step 2). `changed-meanwhile`: another request changed the same data; reload,
         *     then try again. `job-running`: wait for the job that the problem names. `keys-unproved`: first use a key that was made before. `imports-today`, `imports-used`: the imports of
         *     the day, or all, are used up. `detail` says what to do.
         */
        Conflict: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "type": "urn:yunduo-archive:problem:version-proved",
                 *       "title": "版本号属于另一个密钥",
                 *       "status": 409,
                 *       "detail": "版本号 2 的消息已由密钥 0f3c… 解密，因此该版本号不属于密钥 9a1b…。请在企业微信管理后台「会话内容存档」的「消息加密公钥」处核对版本号。",
                 *       "instance": "JKJaXmPLvHcESHA="
                 *     }
                 */
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The body exceeds 64 KiB, or 1 MiB for lists of contacts and rooms. For the bytes of a message: the message exceeds 4 MiB and the request has no `Range`. In the gateway's form, the request exceeds the gateway's limit. */
        TooLarge: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
                /**
                 * @example {
                 *       "message": "Request Entity Too Large"
                 *     }
                 */
                "application/json": components["schemas"]["GatewayMessage"];
            };
        };
        /**
         * @description In the gateway's form, the requests exceed the gateway's rate: repeat the request later, and send requests more slowly.
         *     `jobs-today`: the corp has started as many replays or verifications as it may start a day. `inspections-wait`: many
         *     queries of the corp wait for WeCom already; try again in a minute.
         */
        TooMany: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
                /**
                 * @example {
                 *       "message": "Too Many Requests"
                 *     }
                 */
                "application/json": components["schemas"]["GatewayMessage"];
            };
        };
        /** @description The content type of the body is not application/json. */
        UnsupportedMediaType: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description The work is requested. Its result has a time at or after `requested_at`. */
        Requested: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                /**
                 * @example {
                 *       "requested_at": "2026-01-31T08:00:00Z"
                 *     }
                 */
                "application/json": {
                    requested_at: components["schemas"]["Time"];
                };
            };
        };
        /** @description The archive failed. Repeating the request is safe. */
        Internal: {
            headers: {
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
                /**
                 * @example {
                 *       "message": "Internal Server Error"
                 *     }
                 */
                "application/json": components["schemas"]["GatewayMessage"];
            };
        };
        /** @description The archive did not answer in time. Repeating the request is safe. Its own answer has `Retry-After`, in seconds. */
        Unavailable: {
            headers: {
                /** @example 5 */
                "Retry-After"?: number;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
                /**
                 * @example {
                 *       "message": "Service Unavailable"
                 *     }
                 */
                "application/json": components["schemas"]["GatewayMessage"];
            };
        };
    };
    parameters: {
        corpid: components["schemas"]["CorpID"];
        /**
         * @description Language of problems and troubles.
         * @example zh-CN
         */
        language: string;
        limit: number;
        /** @description The `next` or `prev` of an answer of the same list. */
        page: string;
        /**
         * @description Only messages of these kinds, as `kind` of the content says.
         * @example [
         *       "image",
         *       "video"
         *     ]
         */
        kinds: string[];
        /** @description Set these fields of each message to null. A page that draws `content` needs neither; the answer is then about a third smaller. */
        omit: ("raw" | "json")[];
        /**
         * @description The `ETag` of an earlier answer to the same request. The answer is 304 if it is still the same.
         * @example W/"9f86d081884c7d659a2feaa0c55ad015"
         */
        ifNoneMatch: string;
        order: "asc" | "desc";
        /** @description A Beijing date. Default: today. */
        day: components["schemas"]["Day"];
    };
    requestBodies: never;
    headers: {
        /**
         * @description SHA-256 of the whole message.
         * @example "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
         */
        ETag: string;
        /**
         * @description Names the content of the answer. For a limited token, it follows only from what the token may see.
         * @example W/"9f86d081884c7d659a2feaa0c55ad015"
         */
        Tag: string;
        AcceptRanges: "bytes";
    };
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    health: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The function runs. It reads no store for this answer. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "status": "ok",
                     *       "version": "1.4.0"
                     *     }
                     */
                    "application/json": {
                        /** @constant */
                        status: "ok";
                        /** @description The version of the running code; dev for a build without a version. */
                        version: string;
                    };
                };
            };
        };
    };
    getConsole: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The file, or the page of the console if the path names no file and its last segment has no dot. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /** @example <!doctype html><html lang="zh-CN"><head><title>云朵会话存档</title></head><body></body></html> */
                    "*/*": unknown;
                };
            };
            /** @description The caller has this file (If-None-Match). */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description No such file. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    headConsole: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The file, or the page of the console if the path names no file and its last segment has no dot. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The caller has this file (If-None-Match). */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description No such file. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getConsoleFile: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The rest of the path, which may have several segments. */
                file: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The file, or the page of the console if the path names no file and its last segment has no dot. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /** @example <!doctype html><html lang="zh-CN"><head><title>云朵会话存档</title></head><body></body></html> */
                    "*/*": unknown;
                };
            };
            /** @description The caller has this file (If-None-Match). */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description No such file. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    headConsoleFile: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The rest of the path, which may have several segments. */
                file: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The file, or the page of the console if the path names no file and its last segment has no dot. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The caller has this file (If-None-Match). */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description No such file. */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    verifyCallback: {
        parameters: {
            query?: {
                /** @description SHA-1 over the sorted token, timestamp, nonce and encrypted text. */
                msg_signature?: string;
                timestamp?: string;
                nonce?: string;
                /** @description Encrypted. A blank in place of a '+' and missing '=' at the end are restored. */
                echostr?: string;
            };
            header?: never;
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The decrypted text, exactly. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /** @example 1616140317555161061 */
                    "text/plain": string;
                };
            };
            401: components["responses"]["BadSignature"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    receiveEvent: {
        parameters: {
            query?: {
                /** @description SHA-1 over the sorted token, timestamp, nonce and encrypted text. */
                msg_signature?: string;
                timestamp?: string;
                nonce?: string;
            };
            header?: never;
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /** @example <xml><ToUserName><![CDATA[ww0123456789abcdef]]></ToUserName><AgentID><![CDATA[2000004]]></AgentID><Encrypt><![CDATA[RypEvHKD8QQKFhvQ6QleEB4J58tiPdvo]]></Encrypt></xml> */
                "text/xml": unknown;
                /** @example <xml><ToUserName><![CDATA[ww0123456789abcdef]]></ToUserName><AgentID><![CDATA[2000004]]></AgentID><Encrypt><![CDATA[RypEvHKD8QQKFhvQ6QleEB4J58tiPdvo]]></Encrypt></xml> */
                "application/xml": unknown;
            };
        };
        responses: {
            /** @description The event is stored or acted on. The body is empty. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["BadSignature"];
            413: components["responses"]["TooLarge"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    verifyAppCallback: {
        parameters: {
            query?: {
                /** @description Like the archive's callback, with the callback pair of the app. */
                msg_signature?: string;
                timestamp?: string;
                nonce?: string;
                /** @description Encrypted random text. The answer is the decrypted text. */
                echostr?: string;
            };
            header?: never;
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The decrypted text, exactly. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /** @example 1616140317555161061 */
                    "text/plain": string;
                };
            };
            401: components["responses"]["BadSignature"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    receiveAppEvent: {
        parameters: {
            query?: {
                /** @description Like the archive's callback, with the callback pair of the app. */
                msg_signature?: string;
                timestamp?: string;
                nonce?: string;
            };
            header?: never;
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /** @example <xml><ToUserName><![CDATA[ww0123456789abcdef]]></ToUserName><AgentID><![CDATA[2000004]]></AgentID><Encrypt><![CDATA[RypEvHKD8QQKFhvQ6QleEB4J58tiPdvo]]></Encrypt></xml> */
                "text/xml": unknown;
                /** @example <xml><ToUserName><![CDATA[ww0123456789abcdef]]></ToUserName><AgentID><![CDATA[2000004]]></AgentID><Encrypt><![CDATA[RypEvHKD8QQKFhvQ6QleEB4J58tiPdvo]]></Encrypt></xml> */
                "application/xml": unknown;
            };
        };
        responses: {
            /** @description The event is stored or acted on. The body is empty. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            401: components["responses"]["BadSignature"];
            413: components["responses"]["TooLarge"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    getSession: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The session. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "subject": "u-lin",
                     *       "corp": "ww0123456789abcdef",
                     *       "corp_name": "云朵课堂",
                     *       "roles": [
                     *         "reader"
                     *       ],
                     *       "staff": [
                     *         "lin.hua"
                     *       ],
                     *       "expires_at": "2026-01-31T08:15:00.000Z",
                     *       "registered": true,
                     *       "enabled": true,
                     *       "disabled_at": null
                     *     }
                     */
                    "application/json": components["schemas"]["Session"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    getCorp: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The corp. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Corp"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    putCorp: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "name": "云朵课堂"
                 *     }
                 */
                "application/json": components["schemas"]["CorpInput"];
            };
        };
        responses: {
            /** @description Renamed, or unchanged. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Corp"];
                };
            };
            /** @description Registered. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Corp"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    getSetup: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
                /**
                 * @description The `ETag` of an earlier answer to the same request. The answer is 304 if it is still the same.
                 * @example W/"9f86d081884c7d659a2feaa0c55ad015"
                 */
                "If-None-Match"?: components["parameters"]["ifNoneMatch"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The set-up. */
            200: {
                headers: {
                    ETag: components["headers"]["Tag"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Setup"];
                };
            };
            304: components["responses"]["NotModified"];
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    putSetup: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "secret": "3kTqv0EXAMPLE5PZBq8kYl0EXAMPLEm2v1sR7Xc_wQ-",
                 *       "publickey_ver": 1
                 *     }
                 */
                "application/json": components["schemas"]["SetupInput"];
            };
        };
        responses: {
            /** @description Saved. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SetupSaved"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    rotateKey: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The unused key that is offered already. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Key"];
                };
            };
            /** @description A new key. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Key"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    importKey: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "private_key": "-----BEGIN PRIVATE KEY-----\n…\n-----END PRIVATE KEY-----\n",
                 *       "publickey_ver": 2
                 *     }
                 */
                "application/json": components["schemas"]["KeyImport"];
            };
        };
        responses: {
            /** @description The key was stored already. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["KeyImported"];
                };
            };
            /** @description Imported. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["KeyImported"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    rotateCallback: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "revoke_old": false
                 *     }
                 */
                "application/json": components["schemas"]["CallbackRotation"];
            };
        };
        responses: {
            /** @description The present pair; no new one was made. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Callback"];
                };
            };
            /** @description A new pair. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Callback"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    putState: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "enabled": false,
                 *       "reason": "迁移到新系统"
                 *     }
                 */
                "application/json": components["schemas"]["StateInput"];
            };
        };
        responses: {
            /** @description The corp. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Corp"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    getApp: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The app. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["App"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    putApp: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "secret": "9yTq0EXAMPLE5PZBq8kYl0EXAMPLEm2v1sR7Xc_wQ-",
                 *       "agent_id": "1000002"
                 *     }
                 */
                "application/json": components["schemas"]["AppInput"];
            };
        };
        responses: {
            /** @description Saved. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["App"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    rotateAppCallback: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "revoke_old": false
                 *     }
                 */
                "application/json": components["schemas"]["CallbackRotation"];
            };
        };
        responses: {
            /** @description The present pair; no new one was made. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Callback"];
                };
            };
            /** @description A new pair. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Callback"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    getInspection: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
                /**
                 * @description The `ETag` of an earlier answer to the same request. The answer is 304 if it is still the same.
                 * @example W/"9f86d081884c7d659a2feaa0c55ad015"
                 */
                "If-None-Match"?: components["parameters"]["ifNoneMatch"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The last answers. */
            200: {
                headers: {
                    ETag: components["headers"]["Tag"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Inspection"];
                };
            };
            304: components["responses"]["NotModified"];
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    requestInspection: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "pairs": [
                 *         {
                 *           "member": "lin.hua",
                 *           "external_contact": "wmEXAMPLEcustomer001"
                 *         }
                 *       ]
                 *     }
                 */
                "application/json": components["schemas"]["InspectionInput"];
            };
        };
        responses: {
            202: components["responses"]["Requested"];
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    listScope: {
        parameters: {
            query?: {
                /** @description A Beijing date. Default: today. */
                day?: components["parameters"]["day"];
                limit?: components["parameters"]["limit"];
                /** @description The `next` or `prev` of an answer of the same list. */
                page?: components["parameters"]["page"];
            };
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The members, by userid. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ScopePage"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    getDoctor: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The checks, in the order of the steps. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "checked_at": "2026-01-31T08:00:00Z",
                     *       "running": false,
                     *       "requested_at": null,
                     *       "steps": [
                     *         {
                     *           "step": 0,
                     *           "name": "company",
                     *           "state": "done",
                     *           "title": "企业",
                     *           "where": "我的企业 → 企业信息 → 企业ID"
                     *         },
                     *         {
                     *           "step": 1,
                     *           "name": "scope",
                     *           "state": "waiting",
                     *           "title": "开启范围",
                     *           "where": "安全与管理 → 管理工具 → 会话内容存档 → 开启范围"
                     *         },
                     *         {
                     *           "step": 2,
                     *           "name": "secret",
                     *           "state": "done",
                     *           "title": "Secret",
                     *           "where": "安全与管理 → 管理工具 → 会话内容存档 → Secret → 查看"
                     *         },
                     *         {
                     *           "step": 3,
                     *           "name": "public_key",
                     *           "state": "waiting",
                     *           "title": "消息加密公钥",
                     *           "where": "安全与管理 → 管理工具 → 会话内容存档 → 消息加密公钥 → 设置"
                     *         },
                     *         {
                     *           "step": 4,
                     *           "name": "trusted_ip",
                     *           "state": "redo",
                     *           "title": "可信IP地址",
                     *           "where": "安全与管理 → 管理工具 → 会话内容存档 → 可信IP地址"
                     *         },
                     *         {
                     *           "step": 5,
                     *           "name": "switch_on",
                     *           "state": "waiting",
                     *           "title": "接收事件与开启",
                     *           "where": "安全与管理 → 管理工具 → 会话内容存档 → 立即开启"
                     *         },
                     *         {
                     *           "step": 6,
                     *           "name": "chats",
                     *           "state": "waiting",
                     *           "title": "确认收到会话",
                     *           "where": null
                     *         },
                     *         {
                     *           "step": 7,
                     *           "name": "app",
                     *           "state": "todo",
                     *           "title": "自建应用（可选）",
                     *           "where": "应用管理 → 自建；客户与上下游 → 客户联系 → 可调用接口的应用"
                     *         }
                     *       ],
                     *       "checks": [
                     *         {
                     *           "check": "trusted_ip",
                     *           "step": 4,
                     *           "state": "bad",
                     *           "cause": "trusted_ip",
                     *           "who": "admin",
                     *           "since": "2026-01-31T07:00:00Z",
                     *           "at": "2026-01-31T07:59:00Z",
                     *           "what": "WeCom refused our address 203.0.113.9.",
                     *           "fix": "Redo step 4: enter the addresses of the set-up page under 可信IP地址 on WeCom's 会话内容存档 page. The change takes effect after about a minute.",
                     *           "where": "安全与管理 → 管理工具 → 会话内容存档 → 可信IP地址",
                     *           "op": "GetChatData",
                     *           "code": 10009,
                     *           "native": true,
                     *           "from_ip": "203.0.113.9",
                     *           "evidence": [
                     *             {
                     *               "fact": "trusted_ips",
                     *               "label": "Addresses of the archive",
                     *               "value": "203.0.113.9, 203.0.113.10",
                     *               "text": "203.0.113.9, 203.0.113.10"
                     *             },
                     *             {
                     *               "fact": "from_ip",
                     *               "label": "Address that WeCom saw",
                     *               "value": "203.0.113.9",
                     *               "text": "203.0.113.9"
                     *             },
                     *             {
                     *               "fact": "on_list",
                     *               "label": "An address of the archive",
                     *               "value": "yes",
                     *               "text": "yes"
                     *             }
                     *           ]
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["Doctor"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    requestDoctor: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            202: components["responses"]["Requested"];
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    getChanges: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
                /**
                 * @description The `ETag` of an earlier answer to the same request. The answer is 304 if it is still the same.
                 * @example W/"9f86d081884c7d659a2feaa0c55ad015"
                 */
                "If-None-Match"?: components["parameters"]["ifNoneMatch"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The versions. */
            200: {
                headers: {
                    ETag: components["headers"]["Tag"];
                    /** @example 15 */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "chats": "UfXr0Ng1b2ss",
                     *       "consents": "Zk3vQ9w0x1yA",
                     *       "setup": null,
                     *       "status": null,
                     *       "jobs": null
                     *     }
                     */
                    "application/json": components["schemas"]["Changes"];
                };
            };
            304: components["responses"]["NotModified"];
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    listSetupChanges: {
        parameters: {
            query?: {
                limit?: components["parameters"]["limit"];
                /** @description The `next` or `prev` of an answer of the same list. */
                page?: components["parameters"]["page"];
            };
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The changes. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "changes": [
                     *         {
                     *           "at": "2026-01-31T08:00:00Z",
                     *           "check": "scope",
                     *           "step": 1,
                     *           "from": "ok",
                     *           "to": "bad",
                     *           "was": null,
                     *           "cause": "scope_empty",
                     *           "who": "admin",
                     *           "what": "No member is in scope.",
                     *           "evidence": []
                     *         }
                     *       ],
                     *       "next": null
                     *     }
                     */
                    "application/json": components["schemas"]["SetupChangePage"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    listPeople: {
        parameters: {
            query?: {
                kind?: components["schemas"]["PersonKind"];
                /** @description A part of the name or the id. */
                q?: string;
                /** @description A userid. */
                with?: components["schemas"]["PartyID"];
                /** @description `name` excludes `with`. */
                sort?: "recent" | "name";
                limit?: components["parameters"]["limit"];
                /** @description The `next` or `prev` of an answer of the same list. */
                page?: components["parameters"]["page"];
            };
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description People. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "people": [
                     *         {
                     *           "id": "lin.hua",
                     *           "kind": "member",
                     *           "name": "林华",
                     *           "avatar": null,
                     *           "company": null,
                     *           "missing": null,
                     *           "last_day": "2026-01-31"
                     *         }
                     *       ],
                     *       "whole": true,
                     *       "next": null
                     *     }
                     */
                    "application/json": components["schemas"]["PeoplePage"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    listContacts: {
        parameters: {
            query?: {
                /** @description Up to 100 ids, separated by commas. `ids` excludes `page`. */
                ids?: string;
                limit?: components["parameters"]["limit"];
                /** @description The `next` or `prev` of an answer of the same list. */
                page?: components["parameters"]["page"];
            };
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description People. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ContactPage"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    putContacts: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "contacts": [
                 *         {
                 *           "id": "wmEXAMPLEcustomer001",
                 *           "name": "小明妈妈"
                 *         },
                 *         {
                 *           "id": "lin.hua",
                 *           "name": null
                 *         }
                 *       ]
                 *     }
                 */
                "application/json": components["schemas"]["ContactsInput"];
            };
        };
        responses: {
            /** @description Saved. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Saved"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    listRooms: {
        parameters: {
            query?: {
                /** @description Up to 100 ids, or with `members` 10, separated by commas. `ids` excludes `page` and `q`. */
                ids?: string;
                /** @description A part of the name or the id. */
                q?: string;
                /** @description Answer the members too. */
                members?: true;
                limit?: components["parameters"]["limit"];
                /** @description The `next` or `prev` of an answer of the same list. */
                page?: components["parameters"]["page"];
            };
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Rooms. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RoomPage"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    putRooms: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "rooms": [
                 *         {
                 *           "id": "wrEXAMPLEroom0001",
                 *           "name": "三班家长群",
                 *           "owner": "lin.hua"
                 *         }
                 *       ]
                 *     }
                 */
                "application/json": components["schemas"]["RoomsInput"];
            };
        };
        responses: {
            /** @description Saved. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Saved"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    listConsents: {
        parameters: {
            query?: {
                /** @description A userid. */
                member?: components["schemas"]["PartyID"];
                /** @description An external_userid. */
                external_contact?: components["schemas"]["PartyID"];
                /** @description A roomid. */
                room?: components["schemas"]["PartyID"];
                limit?: components["parameters"]["limit"];
                /** @description The `next` or `prev` of an answer of the same list. */
                page?: components["parameters"]["page"];
            };
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Consents. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ConsentPage"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    listConsentHistory: {
        parameters: {
            query?: {
                /** @description A userid. */
                member?: components["schemas"]["PartyID"];
                /** @description An external_userid. */
                external_contact?: components["schemas"]["PartyID"];
                /** @description A roomid. */
                room?: components["schemas"]["PartyID"];
                /** @description A time, such as that of a message. */
                at?: string;
                limit?: components["parameters"]["limit"];
                /** @description The `next` or `prev` of an answer of the same list. */
                page?: components["parameters"]["page"];
            };
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The answers. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "history": [
                     *         {
                     *           "external_contact": "wmA",
                     *           "member": "lin.hua",
                     *           "room": null,
                     *           "status": "disagree",
                     *           "changed_at": "2026-01-31T08:00:00.000Z",
                     *           "source": "message",
                     *           "at": "2026-01-31T08:00:05.000Z"
                     *         }
                     *       ],
                     *       "names": {
                     *         "people": {},
                     *         "rooms": {},
                     *         "missing": {}
                     *       },
                     *       "next": null
                     *     }
                     */
                    "application/json": {
                        history: components["schemas"]["Consent"][];
                        names: components["schemas"]["Names"];
                        next: components["schemas"]["Token"];
                    };
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    sumConsents: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The counts. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "members": {
                     *         "agree": 120,
                     *         "disagree": 3,
                     *         "default_agree": 41
                     *       },
                     *       "rooms": {
                     *         "agree": 12,
                     *         "disagree": 0,
                     *         "default_agree": 7
                     *       },
                     *       "whole": true
                     *     }
                     */
                    "application/json": {
                        members: components["schemas"]["ConsentCounts"];
                        rooms: components["schemas"]["ConsentCounts"];
                        /** @description false: there were too many answers for the time of one request; the counts are of the first ones. */
                        whole: boolean;
                    };
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    requestPull: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            202: components["responses"]["Requested"];
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    getStatus: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
                /**
                 * @description The `ETag` of an earlier answer to the same request. The answer is 304 if it is still the same.
                 * @example W/"9f86d081884c7d659a2feaa0c55ad015"
                 */
                "If-None-Match"?: components["parameters"]["ifNoneMatch"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The status. */
            200: {
                headers: {
                    ETag: components["headers"]["Tag"];
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Status"];
                };
            };
            304: components["responses"]["NotModified"];
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    listLedger: {
        parameters: {
            query?: {
                /** @description Only rows whose `after` is at least this (`asc`) or at most this (`desc`). Default: all rows, or all rows of `day`. */
                from?: components["schemas"]["Seq"];
                /** @description Only rows that were pulled on this Beijing date. */
                day?: components["schemas"]["Day"];
                order?: components["parameters"]["order"];
                limit?: components["parameters"]["limit"];
            };
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Rows. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["LedgerPage"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    getActivity: {
        parameters: {
            query?: {
                /** @description How many days, up to today. */
                days?: number;
                /** @description The first day, in place of `days`. */
                from?: components["schemas"]["Day"];
            };
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The days, oldest first. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "days": [
                     *         {
                     *           "day": "2026-01-31",
                     *           "pages": 1204,
                     *           "gaps": 0,
                     *           "pulled": 12031,
                     *           "stored": 12029,
                     *           "set_aside": 2,
                     *           "waiting": 0,
                     *           "types": {
                     *             "text": 9744,
                     *             "image": 2285
                     *           },
                     *           "whole": true
                     *         }
                     *       ],
                     *       "next": null
                     *     }
                     */
                    "application/json": components["schemas"]["Activity"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    listStatements: {
        parameters: {
            query?: {
                /** @description Default: 30 days before `to`. */
                from?: components["schemas"]["Day"];
                /** @description The last day. Default: today. */
                to?: components["schemas"]["Day"];
            };
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Statements. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "statements": [
                     *         {
                     *           "day": "2026-01-31",
                     *           "closed": true,
                     *           "whole": true,
                     *           "opening": {
                     *             "seq": "4711",
                     *             "hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
                     *           },
                     *           "closing": {
                     *             "seq": "4711",
                     *             "hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
                     *           },
                     *           "rows": 0,
                     *           "broken_after": null,
                     *           "first_seq": null,
                     *           "last_seq": null,
                     *           "pages": 0,
                     *           "decoded": true,
                     *           "waiting": {
                     *             "pages": 0,
                     *             "records": 0
                     *           },
                     *           "pulled": 0,
                     *           "stored": 0,
                     *           "unreadable": 0,
                     *           "set_aside": {},
                     *           "types": {},
                     *           "media": {
                     *             "named": 0,
                     *             "stored": 0,
                     *             "waiting": 0,
                     *             "mismatch": 0,
                     *             "expired": 0,
                     *             "failed": 0,
                     *             "whole": true,
                     *             "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
                     *           },
                     *           "gap_count": 0,
                     *           "gaps": [],
                     *           "losses": []
                     *         }
                     *       ],
                     *       "next": null
                     *     }
                     */
                    "application/json": {
                        statements: components["schemas"]["Statement"][];
                        /** @description Pass it as `from`. null: the list is complete. */
                        next: null | components["schemas"]["Day"];
                    };
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    getStatement: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
                /** @description A Beijing date, today or earlier. */
                day: components["schemas"]["Day"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The statement. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Statement"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    listTypes: {
        parameters: {
            query?: {
                /** @description Day of the pull. Default: 30 days before `to_day`. */
                from_day?: components["schemas"]["Day"];
                /** @description The last day, at most 30 days after `from_day`. Default: today. */
                to_day?: components["schemas"]["Day"];
            };
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Types. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["TypeCounts"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    listSetAside: {
        parameters: {
            query?: {
                limit?: components["parameters"]["limit"];
                /** @description The `next` or `prev` of an answer of the same list. */
                page?: components["parameters"]["page"];
            };
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Records. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SetAsidePage"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    listFiles: {
        parameters: {
            query: {
                state: "waiting" | "failed" | "mismatch" | "expired";
                limit?: components["parameters"]["limit"];
                /** @description The `next` or `prev` of an answer of the same list. */
                page?: components["parameters"]["page"];
            };
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Files. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ListedFiles"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    listReplays: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
                /**
                 * @description The `ETag` of an earlier answer to the same request. The answer is 304 if it is still the same.
                 * @example W/"9f86d081884c7d659a2feaa0c55ad015"
                 */
                "If-None-Match"?: components["parameters"]["ifNoneMatch"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Jobs. */
            200: {
                headers: {
                    ETag: components["headers"]["Tag"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "replays": [
                     *         {
                     *           "id": "20260131T080000.000Z-K7NQ2",
                     *           "created_at": "2026-01-31T08:00:00Z",
                     *           "by": "wang.min",
                     *           "from_seq": "0",
                     *           "to_seq": "4711",
                     *           "set_aside_only": false,
                     *           "publickey_ver": null,
                     *           "next_seq": "4711",
                     *           "pages": 5,
                     *           "updated_at": "2026-01-31T08:00:19Z",
                     *           "done": true,
                     *           "failed": false,
                     *           "stopped_by": null,
                     *           "progress": 1,
                     *           "verify": true,
                     *           "weekly": false,
                     *           "chain_only": false,
                     *           "faults": 0,
                     *           "findings": []
                     *         }
                     *       ],
                     *       "names": {
                     *         "people": {
                     *           "wang.min": {
                     *             "name": "王敏",
                     *             "kind": "member",
                     *             "avatar": null,
                     *             "company": null
                     *           }
                     *         },
                     *         "rooms": {},
                     *         "missing": {}
                     *       }
                     *     }
                     */
                    "application/json": {
                        replays: components["schemas"]["Replay"][];
                        /** @description Of the users who are members. */
                        names: components["schemas"]["Names"];
                    };
                };
            };
            304: components["responses"]["NotModified"];
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    createReplay: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "set_aside_only": true
                 *     }
                 */
                "application/json": components["schemas"]["ReplayInput"];
            };
        };
        responses: {
            /** @description The job. */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Replay"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    getReplay: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The job. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Replay"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    stopReplay: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The job. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Replay"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            409: components["responses"]["Conflict"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    listEvents: {
        parameters: {
            query?: {
                /** @description A Beijing date. Default: today. */
                day?: components["parameters"]["day"];
                limit?: components["parameters"]["limit"];
                /** @description The `next` or `prev` of an answer of the same list. */
                page?: components["parameters"]["page"];
            };
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Events. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EventPage"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    listReadings: {
        parameters: {
            query?: {
                /** @description The first Beijing date. Default: `to_day`. */
                from_day?: components["schemas"]["Day"];
                /** @description The last one; at most 31 days. Default: today. */
                to_day?: components["schemas"]["Day"];
                /** @description Only what this user read. */
                viewer?: components["schemas"]["PartyID"];
                /** @description Only readings of this conversation. */
                conversation?: components["schemas"]["OpaqueID"];
                /** @description Only readings of chats that name this party or room: single chats, rooms, and their lists. */
                party?: components["schemas"]["PartyID"];
                limit?: components["parameters"]["limit"];
                /** @description The `next` or `prev` of an answer of the same list. */
                page?: components["parameters"]["page"];
            };
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Readings. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "readings": [
                     *         {
                     *           "at": "2026-01-31T08:00:00Z",
                     *           "by": "zhou.qi",
                     *           "role": "auditor",
                     *           "conversation": "c2luZ2xlOmxpbi5odWE6d21B",
                     *           "kind": "single",
                     *           "parties": [
                     *             "lin.hua",
                     *             "wmA"
                     *           ],
                     *           "room": null,
                     *           "list": null,
                     *           "party": null,
                     *           "day": null
                     *         },
                     *         {
                     *           "at": "2026-01-31T08:10:00Z",
                     *           "by": "zhou.qi",
                     *           "role": "auditor",
                     *           "conversation": null,
                     *           "kind": null,
                     *           "parties": [],
                     *           "room": null,
                     *           "list": "day",
                     *           "party": null,
                     *           "day": "2026-01-30"
                     *         }
                     *       ],
                     *       "names": {
                     *         "people": {
                     *           "lin.hua": {
                     *             "name": "林华",
                     *             "kind": "member",
                     *             "avatar": null,
                     *             "company": null
                     *           },
                     *           "zhou.qi": {
                     *             "name": "周琦",
                     *             "kind": "member",
                     *             "avatar": null,
                     *             "company": null
                     *           }
                     *         },
                     *         "rooms": {},
                     *         "missing": {}
                     *       },
                     *       "next": null
                     *     }
                     */
                    "application/json": components["schemas"]["ReadingPage"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    markSeen: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "conversation": "9hYkXl1Zc2luZ2xlOmxpbi5odWE6d21BIg",
                 *       "until": "2026-01-31T08:00:00.123Z"
                 *     }
                 */
                "application/json": components["schemas"]["SeenInput"];
            };
        };
        responses: {
            /** @description Noted. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "seen_at": "2026-01-31T08:00:00.123Z"
                     *     }
                     */
                    "application/json": components["schemas"]["Seen"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    listConversations: {
        parameters: {
            query?: {
                /** @description A userid. */
                member?: components["schemas"]["PartyID"];
                /** @description An external_userid or a robot's id. */
                external_contact?: components["schemas"]["PartyID"];
                /** @description A roomid. */
                room?: components["schemas"]["PartyID"];
                /** @description Messages that name no party. */
                unplaced?: true;
                /** @description All rooms of the company. */
                rooms?: true;
                /** @description A part of the name or the id of a room. Only with `rooms`. */
                q?: string;
                /** @description A Beijing date. Excludes the other parties and `since`. */
                day?: components["schemas"]["Day"];
                /** @description Only conversations of this kind. */
                kind?: "single" | "room" | "group" | "own" | "unplaced";
                /** @description Only conversations whose newest message names an external contact. */
                external?: true;
                /** @description Only conversations with a message at or after this time. */
                since?: string;
                limit?: components["parameters"]["limit"];
                /** @description The `next` or `prev` of an answer of the same list. */
                page?: components["parameters"]["page"];
            };
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
                /**
                 * @description The `ETag` of an earlier answer to the same request. The answer is 304 if it is still the same.
                 * @example W/"9f86d081884c7d659a2feaa0c55ad015"
                 */
                "If-None-Match"?: components["parameters"]["ifNoneMatch"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Conversations. */
            200: {
                headers: {
                    ETag: components["headers"]["Tag"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "conversations": [
                     *         {
                     *           "id": "9hYkXl1Zc2luZ2xlOmxpbi5odWE6d21BIg",
                     *           "kind": "single",
                     *           "parties": [
                     *             "lin.hua",
                     *             "wmA"
                     *           ],
                     *           "party_count": 2,
                     *           "room": null,
                     *           "last_at": "2026-01-31T08:00:00.123Z",
                     *           "seen_at": null,
                     *           "newest": {
                     *             "message_id": "YtM1c2luZ2xl",
                     *             "time": "2026-01-31T08:00:00.123Z",
                     *             "from": "wmA",
                     *             "action": "send",
                     *             "type": "text",
                     *             "kind": "text",
                     *             "text": "明天九点到"
                     *           }
                     *         }
                     *       ],
                     *       "names": {
                     *         "people": {
                     *           "wmA": {
                     *             "name": "小明妈妈",
                     *             "kind": "external",
                     *             "avatar": null,
                     *             "company": null
                     *           }
                     *         },
                     *         "rooms": {},
                     *         "missing": {}
                     *       },
                     *       "next": null
                     *     }
                     */
                    "application/json": components["schemas"]["ConversationPage"];
                };
            };
            304: components["responses"]["NotModified"];
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    getConversation: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
                /** @description The `id` of a conversation. */
                conversation: components["schemas"]["OpaqueID"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The conversation. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "9hYkXl1Zc2luZ2xlOmxpbi5odWE6d21BIg",
                     *       "kind": "single",
                     *       "parties": [
                     *         "lin.hua",
                     *         "wmA"
                     *       ],
                     *       "party_count": 2,
                     *       "room": null,
                     *       "last_at": "2026-01-31T08:00:00.123Z",
                     *       "seen_at": null,
                     *       "newest": {
                     *         "message_id": "YtM1c2luZ2xl",
                     *         "time": "2026-01-31T08:00:00.123Z",
                     *         "from": "wmA",
                     *         "action": "send",
                     *         "type": "text",
                     *         "kind": "text",
                     *         "text": "明天九点到"
                     *       },
                     *       "first_at": "2025-11-02T01:30:00.000Z",
                     *       "room_detail": null,
                     *       "consents": [
                     *         {
                     *           "external_contact": "wmA",
                     *           "member": "lin.hua",
                     *           "room": null,
                     *           "status": "agree",
                     *           "changed_at": "2025-11-02T01:29:00.000Z",
                     *           "source": "message",
                     *           "at": "2025-11-02T01:30:02.000Z"
                     *         }
                     *       ],
                     *       "names": {
                     *         "people": {
                     *           "wmA": {
                     *             "name": "小明妈妈",
                     *             "kind": "external",
                     *             "avatar": null,
                     *             "company": null
                     *           }
                     *         },
                     *         "rooms": {},
                     *         "missing": {}
                     *       }
                     *     }
                     */
                    "application/json": components["schemas"]["ConversationDetail"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    listDays: {
        parameters: {
            query?: {
                /** @description A month in Beijing. Default: this month. */
                month?: string;
            };
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
                /** @description The `id` of a conversation. */
                conversation: components["schemas"]["OpaqueID"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The days. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "days": [
                     *         "2026-01-05",
                     *         "2026-01-31"
                     *       ],
                     *       "whole": true,
                     *       "earliest": "2025-11-02",
                     *       "latest": "2026-01-31"
                     *     }
                     */
                    "application/json": components["schemas"]["ConversationDays"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    listMessages: {
        parameters: {
            query?: {
                /** @description Sent at or after. */
                from?: string;
                /** @description Sent before. */
                to?: string;
                /** @description The `id` of a message of this conversation. Excludes `at`, `from`, `to` and `order`. */
                around?: components["schemas"]["OpaqueID"];
                /** @description A time. Excludes `around`, `from`, `to` and `order`. */
                at?: string;
                /** @description Only revoked messages. */
                revoked?: true;
                /**
                 * @description Only messages of these kinds, as `kind` of the content says.
                 * @example [
                 *       "image",
                 *       "video"
                 *     ]
                 */
                kinds?: components["parameters"]["kinds"];
                /** @description Only messages with files. */
                files?: true;
                /** @description Only the first message with this msgid, with or without the suffixes that WeCom adds to it. `order=desc` and `to` make the search short. */
                msgid?: string;
                /** @description Set these fields of each message to null. A page that draws `content` needs neither; the answer is then about a third smaller. */
                omit?: components["parameters"]["omit"];
                order?: components["parameters"]["order"];
                limit?: components["parameters"]["limit"];
                /** @description The `next` or `prev` of an answer of the same list. */
                page?: components["parameters"]["page"];
            };
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
                /** @description The `id` of a conversation. */
                conversation: components["schemas"]["OpaqueID"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Messages. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "messages": [
                     *         {
                     *           "id": "YtM1c2luZ2xl",
                     *           "conversation": "9hYkXl1Zc2luZ2xlOmxpbi5odWE6d21BIg",
                     *           "seq": "4711",
                     *           "msgid": "2641513858500683000_1767226152",
                     *           "time": "2026-01-31T08:00:00.123Z",
                     *           "action": "send",
                     *           "from": "wmA",
                     *           "to": [
                     *             "lin.hua"
                     *           ],
                     *           "room": null,
                     *           "type": "text",
                     *           "publickey_ver": 3,
                     *           "size": 171,
                     *           "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                     *           "raw": null,
                     *           "json": null,
                     *           "content": {
                     *             "kind": "text",
                     *             "text": "明天九点到",
                     *             "whole": true,
                     *             "parts": [
                     *               {
                     *                 "type": "text",
                     *                 "text": "明天九点到"
                     *               }
                     *             ],
                     *             "files": [],
                     *             "revokes": null,
                     *             "revokes_id": null,
                     *             "consent": null,
                     *             "unknown": []
                     *           },
                     *           "revoked": null
                     *         }
                     *       ],
                     *       "names": {
                     *         "people": {
                     *           "wmA": {
                     *             "name": "小明妈妈",
                     *             "kind": "external",
                     *             "avatar": null,
                     *             "company": null
                     *           }
                     *         },
                     *         "rooms": {},
                     *         "missing": {}
                     *       },
                     *       "anchor": null,
                     *       "next": null,
                     *       "prev": null,
                     *       "resume": "b3BhcXVl"
                     *     }
                     */
                    "application/json": components["schemas"]["MessagePage"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    searchMessages: {
        parameters: {
            query: {
                q: string;
                /**
                 * @description Only messages of these kinds, as `kind` of the content says.
                 * @example [
                 *       "image",
                 *       "video"
                 *     ]
                 */
                kinds?: components["parameters"]["kinds"];
                /** @description Only messages of this sender. */
                from_party?: components["schemas"]["PartyID"];
                /** @description Sent at or after. */
                from?: string;
                /** @description Sent before. */
                to?: string;
                order?: "asc" | "desc";
                limit?: components["parameters"]["limit"];
                /** @description The `next` or `prev` of an answer of the same list. */
                page?: components["parameters"]["page"];
            };
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
                /** @description The `id` of a conversation. */
                conversation: components["schemas"]["OpaqueID"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The hits. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "hits": [
                     *         {
                     *           "message_id": "YtM1c2luZ2xl",
                     *           "time": "2026-01-31T08:00:00.123Z",
                     *           "from": "wmA",
                     *           "kind": "text",
                     *           "text": "明天九点到",
                     *           "spans": [
                     *             [
                     *               0,
                     *               2
                     *             ]
                     *           ]
                     *         }
                     *       ],
                     *       "names": {
                     *         "people": {
                     *           "wmA": {
                     *             "name": "小明妈妈",
                     *             "kind": "external",
                     *             "avatar": null,
                     *             "company": null
                     *           }
                     *         },
                     *         "rooms": {},
                     *         "missing": {}
                     *       },
                     *       "scanned": {
                     *         "messages": 2000,
                     *         "until": "2025-11-02T01:30:00.000Z"
                     *       },
                     *       "next": "b3BhcXVl"
                     *     }
                     */
                    "application/json": components["schemas"]["SearchPage"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    getMessages: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "ids": [
                 *         "YtM1c2luZ2xl"
                 *       ],
                 *       "omit": [
                 *         "raw",
                 *         "json"
                 *       ]
                 *     }
                 */
                "application/json": components["schemas"]["MessagesInput"];
            };
        };
        responses: {
            /** @description The messages that were found, in the order of the request. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "messages": [],
                     *       "missing": [
                     *         {
                     *           "id": "YtM1c2luZ2xl",
                     *           "problem": {
                     *             "type": "urn:yunduo-archive:problem:not-found",
                     *             "title": "未找到",
                     *             "status": 404,
                     *             "detail": "该企业下没有您请求的内容，请核对地址。",
                     *             "instance": "JKJaXmPLvHcESHA="
                     *           }
                     *         }
                     *       ],
                     *       "names": {
                     *         "people": {},
                     *         "rooms": {},
                     *         "missing": {}
                     *       }
                     *     }
                     */
                    "application/json": components["schemas"]["MessageBatch"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    getMessage: {
        parameters: {
            query?: {
                /** @description Set these fields of each message to null. A page that draws `content` needs neither; the answer is then about a third smaller. */
                omit?: components["parameters"]["omit"];
            };
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
                /** @description The `id` of a message. */
                id: components["schemas"]["OpaqueID"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The message. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "YtM1c2luZ2xl",
                     *       "conversation": "9hYkXl1Zc2luZ2xlOmxpbi5odWE6d21BIg",
                     *       "seq": "4711",
                     *       "msgid": "2641513858500683000_1767226152",
                     *       "time": "2026-01-31T08:00:00.123Z",
                     *       "action": "send",
                     *       "from": "wmA",
                     *       "to": [
                     *         "lin.hua"
                     *       ],
                     *       "room": null,
                     *       "type": "text",
                     *       "publickey_ver": 3,
                     *       "size": 171,
                     *       "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                     *       "raw": null,
                     *       "json": null,
                     *       "content": {
                     *         "kind": "text",
                     *         "text": "明天九点到",
                     *         "whole": true,
                     *         "parts": [
                     *           {
                     *             "type": "text",
                     *             "text": "明天九点到"
                     *           }
                     *         ],
                     *         "files": [],
                     *         "revokes": null,
                     *         "revokes_id": null,
                     *         "consent": null,
                     *         "unknown": []
                     *       },
                     *       "revoked": null,
                     *       "names": {
                     *         "people": {
                     *           "wmA": {
                     *             "name": "小明妈妈",
                     *             "kind": "external",
                     *             "avatar": null,
                     *             "company": null
                     *           }
                     *         },
                     *         "rooms": {},
                     *         "missing": {}
                     *       }
                     *     }
                     */
                    "application/json": components["schemas"]["Message"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    getMessageBytes: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
                /**
                 * @description `bytes=first-last`, `bytes=first-` or `bytes=-count`.
                 * @example bytes=0-4194303
                 */
                Range?: string;
            };
            path: {
                corpid: components["parameters"]["corpid"];
                /** @description The `id` of a message. */
                id: components["schemas"]["OpaqueID"];
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The whole message. */
            200: {
                headers: {
                    ETag: components["headers"]["ETag"];
                    "Accept-Ranges": components["headers"]["AcceptRanges"];
                    [name: string]: unknown;
                };
                content: {
                    /** @example {"msgid":"7310022004455667788_1767225600123","action":"send","from":"wmAAA","tolist":["lin.hua"],"roomid":"","msgtime":1767225600123,"msgtype":"text","text":{"content":"明天九点到"}} */
                    "application/octet-stream": unknown;
                };
            };
            /** @description The requested part. */
            206: {
                headers: {
                    ETag: components["headers"]["ETag"];
                    "Accept-Ranges": components["headers"]["AcceptRanges"];
                    /** @example bytes 0-4194303/9000000 */
                    "Content-Range": string;
                    [name: string]: unknown;
                };
                content: {
                    /** @example {"msgid":"7310022004455667788_1767225600123" */
                    "application/octet-stream": unknown;
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            413: components["responses"]["TooLarge"];
            /** @description The range begins after the end of the message. */
            416: {
                headers: {
                    /** @example bytes *\/1234 */
                    "Content-Range": string;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    getFile: {
        parameters: {
            query?: {
                /** @description Answer 302 with the link, in place of 200. */
                redirect?: "true";
                /** @description Let the link serve the file as an attachment, whatever its type. */
                download?: true;
            };
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
                /** @description The `id` of a message. */
                id: components["schemas"]["OpaqueID"];
                /** @description The index in `files` of the content, from 0. */
                n: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The link. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["FileLink"];
                };
            };
            /** @description A redirection to the link. */
            302: {
                headers: {
                    Location: string;
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            /**
             * @description The file is absent. `file-waiting`: the file is being fetched. `file-expired`: WeCom deleted the file before it was
             *     fetched. `file-failed`: fetching failed; a replay fetches the file again while WeCom has it. `file-unknown`: the
             *     archive never requested the file; a replay requests it. `file-unread`: the message exceeds 8 MiB, so this operation
             *     does not read which files it names; the archive fetches the files anyway.
             */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "type": "urn:yunduo-archive:problem:file-waiting",
                     *       "title": "文件正在下载",
                     *       "status": 409,
                     *       "detail": "文件正在从企业微信下载，请稍后再试。企业微信最早将于 93.5 小时后删除该文件。",
                     *       "instance": "JKJaXmPLvHcESHA="
                     *     }
                     */
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    makeLinks: {
        parameters: {
            query?: never;
            header?: {
                /**
                 * @description Language of problems and troubles.
                 * @example zh-CN
                 */
                "Accept-Language"?: components["parameters"]["language"];
            };
            path: {
                corpid: components["parameters"]["corpid"];
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "files": [
                 *         {
                 *           "message": "YtM1c2luZ2xl",
                 *           "n": 0
                 *         }
                 *       ]
                 *     }
                 */
                "application/json": components["schemas"]["LinksInput"];
            };
        };
        responses: {
            /** @description The links, in the order of the request. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "links": [
                     *         {
                     *           "message": "YtM1c2luZ2xl",
                     *           "n": 0,
                     *           "link": {
                     *             "url": "https://files.example.com/ww0123456789abcdef/files/9f86d081?X-Amz-Signature=…",
                     *             "expires_at": "2026-01-31T08:05:00.123Z",
                     *             "content_type": "image/jpeg",
                     *             "file_name": "file-9f86d081.jpg",
                     *             "size": 13177,
                     *             "md5": "0cc175b9c0f1b6a831c399e269772661",
                     *             "sha256": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
                     *             "state": "stored"
                     *           },
                     *           "problem": null
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["FileLinks"];
                };
            };
            400: components["responses"]["Invalid"];
            401: components["responses"]["Unauthorized"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            413: components["responses"]["TooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            429: components["responses"]["TooMany"];
            500: components["responses"]["Internal"];
            503: components["responses"]["Unavailable"];
        };
    };
    conversationUpdated: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "id": "7bf73129-1428-4cd3-a780-95db273d1602",
                 *       "source": "yunduo-archive",
                 *       "detail-type": "conversation.updated",
                 *       "time": "2026-01-31T08:00:01Z",
                 *       "detail": {
                 *         "corp": "ww0123456789abcdef",
                 *         "conversation": "YtM1c2luZ2xl",
                 *         "kind": "single",
                 *         "room": null,
                 *         "parties": [
                 *           "lin.hua",
                 *           "wmAAA"
                 *         ],
                 *         "last_at": "2026-01-31T08:00:00.123Z",
                 *         "seq": "4711"
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["ConversationUpdated"];
            };
        };
        responses: {
            /** @description The target of the rule took the event. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
    consentChanged: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "id": "0f0dd1a0-1a4c-4c1b-8a53-3ad1b5a9b6a5",
                 *       "source": "yunduo-archive",
                 *       "detail-type": "consent.changed",
                 *       "time": "2026-01-31T08:00:01Z",
                 *       "detail": {
                 *         "corp": "ww0123456789abcdef",
                 *         "external_contact": "wmAAA",
                 *         "member": "lin.hua",
                 *         "room": null,
                 *         "status": "disagree",
                 *         "changed_at": "2026-01-31T08:00:00.000Z",
                 *         "source": "message"
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["ConsentChanged"];
            };
        };
        responses: {
            /** @description The target of the rule took the event. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
    setupChanged: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "id": "5c2f1ec3-9d6f-4b50-b4fd-7f6df4a0a1ba",
                 *       "source": "yunduo-archive",
                 *       "detail-type": "setup.changed",
                 *       "time": "2026-01-31T08:00:01Z",
                 *       "detail": {
                 *         "corp": "ww0123456789abcdef",
                 *         "check": "trusted_ip",
                 *         "step": 4,
                 *         "from": "ok",
                 *         "to": "bad",
                 *         "was": null,
                 *         "cause": "trusted_ip",
                 *         "who": "admin",
                 *         "at": "2026-01-31T08:00:00.123Z"
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["SetupChanged"];
            };
        };
        responses: {
            /** @description The target of the rule took the event. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
        };
    };
}
