//! Every bound of the pure core in one place, each with its reason; relations between them are proven at compile time.

// ---- HTTP heads and bodies, URIs, names -------------------------------------------------------------------------

/// A request head, first byte to blank line. Twice what AWS allows (8 KiB), because presigned URLs with session
/// tokens and 2 KiB of user metadata meet in one head.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Header lines in one head. S3 clients send 10-25; user metadata adds what 2 KiB can hold.
pub const HEADERS_MAX: usize = 100;
/// The request target as sent. A 1024-byte key is 3072 bytes when every byte is escaped, and a presigned query
/// with a session token is 2-3 KiB.
pub const TARGET_BYTES_MAX: usize = 8 * 1024;
/// Arguments of one query.
pub const QUERY_ARGUMENTS_MAX: usize = 100;
/// Empty lines that are forgiven before a request line (RFC 9112, 2.2 asks for at least one).
pub const LEADING_EMPTY_LINES_MAX: usize = 2;

/// Ranges of proxies that a node trusts. The largest content network lists some 200, and each request is held against all.
pub const TRUSTED_PROXIES_MAX: usize = 1024;
/// Addresses of one `X-Forwarded-For` that are looked at, from its end: proxies behind one another, of which three are many.
pub const FORWARDED_HOPS_MAX: usize = 32;
/// A whole PROXY header: an SSL record with a client's name, a host name, an id and a network's are under 2 KiB.
pub const PROXY_HEADER_BYTES_MAX: usize = 4096;

/// A chunk-size line of HTTP's chunked coding, extensions included. No S3 client sends extensions.
pub const CHUNK_LINE_BYTES_MAX: usize = 256;
/// Hex digits of a chunk size, HTTP's and aws-chunked's: what a u64 holds.
pub const CHUNK_SIZE_DIGITS_MAX: usize = 16;
/// The trailer section of HTTP's chunked coding, which is read past and dropped.
pub const CHUNKED_TRAILER_BYTES_MAX: usize = 4 * 1024;
/// A chunk header of aws-chunked: 16 digits + ";chunk-signature=" (17) + 64 + CR + LF = 99, rounded up.
pub const AWS_CHUNK_LINE_BYTES_MAX: usize = 128;
/// One trailer line of aws-chunked. The longest we know is x-amz-trailer-signature with 90 bytes.
pub const AWS_TRAILER_LINE_BYTES_MAX: usize = 1024;
/// Trailers of one aws-chunked body. SDKs send one.
pub const AWS_TRAILERS_MAX: usize = 16;

/// S3's rule, in bytes of UTF-8.
pub const OBJECT_KEY_BYTES_MAX: usize = 1024;
/// S3's rule for bucket names.
pub const BUCKET_NAME_BYTES_MIN: usize = 3;
/// S3's rule for bucket names: one DNS label.
pub const BUCKET_NAME_BYTES_MAX: usize = 63;

const _: () = assert!(TARGET_BYTES_MAX < HEAD_BYTES_MAX);
const _: () = assert!(HEAD_BYTES_MAX <= u16::MAX as usize, "spans of a head are u16");
const _: () = assert!(3 * OBJECT_KEY_BYTES_MAX < TARGET_BYTES_MAX);
const _: () = assert!(CHUNK_SIZE_DIGITS_MAX + 17 + 64 + 2 <= AWS_CHUNK_LINE_BYTES_MAX);

// ---- SigV4, digests --------------------------------------------------------------------------------------------

/// How far a request's clock may be from ours, milliseconds. S3's rule.
pub const SKEW_MS_MAX: u64 = 15 * 60 * 1000;
/// Longest life of a presigned URL, seconds: a week. The control plane hands out day keys for exactly as long.
pub const PRESIGN_EXPIRES_S_MAX: u64 = 7 * 24 * 3600;
/// An access key id. AWS's have 16-128 characters.
pub const ACCESS_KEY_ID_BYTES_MAX: usize = 128;
/// A region's name. AWS's longest has 14 characters.
pub const REGION_BYTES_MAX: usize = 32;
/// A credential: key id, day, region, "s3", "aws4_request" and four slashes.
pub const CREDENTIAL_BYTES_MAX: usize = ACCESS_KEY_ID_BYTES_MAX + REGION_BYTES_MAX + 8 + 2 + 12 + 4;
/// The list of signed headers. 50 metadata headers of 40 characters.
pub const SIGNED_HEADERS_BYTES_MAX: usize = 2048;
/// The string to sign: algorithm, time, scope, one to three hashes or signatures, newlines.
pub const STRING_TO_SIGN_BYTES_MAX: usize = 26 + 16 + (8 + REGION_BYTES_MAX + 2 + 12 + 3) + 3 * 64 + 5;

// ---- Erasure coding, placement, quorum --------------------------------------------------------------------------

/// Fragments of one blob: `proven` on the wire has 64 bits, and beyond 32 a row of full pieces is 8 MiB of buffers.
pub const FRAGMENTS_MAX: u32 = 32;
/// Fragments of class `LOCAL` on a node with more drives than that; each blob then takes its own drives of the ring.
pub const LOCAL_FRAGMENTS_MAX: usize = 16;
/// Nodes that a blob of class `NODES` is spread over, at least: of two neither could go on without the other's half.
pub const NODES_MIN: usize = 3;
/// And at most; of more nodes each blob takes its own six. A read waits for the slowest node of those it needs.
pub const NODES_FRAGMENTS_MAX: usize = 6;
/// Of those, the most that may be spare: half, as on drives.
pub const NODES_PARITY_MAX: usize = NODES_FRAGMENTS_MAX / 2;
/// Payload of a full piece. Long enough that a spinning drive reads more than it seeks, short enough that two rows of
/// 4+2 fit a request's 3 MiB.
pub const PIECE_BYTES: u32 = 256 * 1024;
/// Pieces smaller than a page help nobody.
pub const PIECE_BYTES_MIN: u32 = 4096;
/// What a reader still buffers: 32 pieces of that size are 128 MiB, so no class goes there lightly.
pub const PIECE_BYTES_MAX: u32 = 4 * 1024 * 1024;
/// Piece lengths are multiples of a cache line, so that vector kernels have no tail.
pub const PIECE_ALIGN_BYTES: u32 = 64;
/// Bytes per fragment that a coder works on at a time: (10+4) * 64 KiB still lies in 1 MiB of L2 (MEASURED.md B2).
pub const ENCODE_SLICE_BYTES: usize = 64 * 1024;
/// Blobs up to this are whole copies (DESIGN 4.4). To be measured again once drives are real ones.
pub const COPY_BYTES_MAX: u64 = 16 * 1024;

const _: () = assert!(FRAGMENTS_MAX <= 64, "`proven` is a u64");
const _: () = assert!(LOCAL_FRAGMENTS_MAX <= FRAGMENTS_MAX as usize);
const _: () = assert!(NODES_FRAGMENTS_MAX <= FRAGMENTS_MAX as usize && NODES_MIN <= NODES_FRAGMENTS_MAX);
const _: () = assert!(PIECE_BYTES_MIN <= PIECE_BYTES && PIECE_BYTES <= PIECE_BYTES_MAX);
const _: () = assert!(
    PIECE_BYTES.is_multiple_of(PIECE_ALIGN_BYTES) && PIECE_BYTES_MIN.is_multiple_of(PIECE_ALIGN_BYTES)
);
const _: () = assert!(COPY_BYTES_MAX <= PIECE_BYTES as u64, "copies of small blobs are one piece");

// ---- On-disk records ---------------------------------------------------------------------------------------------

/// Payload of one record: a piece.
pub const RECORD_PAYLOAD_BYTES_MAX: usize = PIECE_BYTES_MAX as usize;
/// Header of one record: the checksums of 256 blocks are 1 KiB; the rest is room for an encryption envelope and a
/// sealed recovery manifest (MinIO's whole `xl.meta` for one version is about 1 KiB).
pub const RECORD_HEADER_BYTES_MAX: usize = 8 * 1024;

// ---- Fragments between nodes ----------------------------------------------------------------------------------------

/// What of a frame is not payload. The longest is the list of what a node holds of a blob.
pub const PEER_META_BYTES_MAX: usize = 64 * 1024;
/// Fragments of one blob that one node may hold: 32 of each of a few attempts, on more drives than one after a repair.
pub const PEER_HELD_MAX: usize = 1024;
/// Drives of one node that an answer may name; a node has at most [`LOCAL_FRAGMENTS_MAX`], and some may be gone.
pub const PEER_BACKENDS_MAX: usize = 256;
/// Drives that one answer says could not delete; further ones are left out.
pub const PEER_DELETED_FAILED_MAX: usize = LOCAL_FRAGMENTS_MAX;
/// A sentence of an error on the wire, bytes; longer ones are cut.
pub const PEER_TEXT_BYTES_MAX: usize = 512;

const _: () = assert!(PEER_HELD_MAX * 38 + 2 <= PEER_META_BYTES_MAX);
const _: () = assert!(PEER_BACKENDS_MAX <= PEER_HELD_MAX);
// Of each drive its number and a fault of two sentences.
const _: () = assert!(PEER_DELETED_FAILED_MAX * (5 + 2 * (PEER_TEXT_BYTES_MAX + 2)) <= PEER_META_BYTES_MAX);
const _: () =
    assert!(holdfast_common::ticket::TICKET_BYTES_MAX + RECORD_HEADER_BYTES_MAX + 128 <= PEER_META_BYTES_MAX);

// ---- S3 operations and XML -------------------------------------------------------------------------------------

/// Largest object of one PUT, bytes: 5 TiB. AWS stops at 5 GiB here and wants multipart above; MinIO's and Ceph's users
/// are used to single streams of any length, and our memory per request does not grow with them.
pub const PUT_BYTES_MAX: u64 = 5 << 40;
/// Largest part, bytes: S3's rule (5 GiB).
pub const PART_BYTES_MAX: u64 = 5 << 30;
/// Parts of one upload, and so the highest part number: S3's rule.
pub const PARTS_MAX: u32 = 10_000;
/// User metadata of one object, bytes of names (without prefix) and values: S3's rule.
pub const USER_METADATA_BYTES_MAX: usize = 2048;
/// An upload id in a request. Ours are far shorter; longer ones are nobody's.
pub const UPLOAD_ID_BYTES_MAX: usize = 256;
/// Entries of one listing page (keys, uploads, parts): S3's rule. More may be asked for and is cut to this.
pub const LIST_ENTRIES_MAX: u32 = 1000;
/// Buckets of one ListBuckets page: S3's rule.
pub const LIST_BUCKETS_MAX: u32 = 10_000;
/// A delimiter or prefix in a listing, bytes: longer than any key matches nothing.
pub const LIST_TEXT_BYTES_MAX: usize = OBJECT_KEY_BYTES_MAX;
/// Keys of one DeleteObjects: S3's rule.
pub const DELETE_KEYS_MAX: usize = 1000;

/// Body of CreateBucket, bytes: one element.
pub const CREATE_BUCKET_BODY_BYTES_MAX: usize = 16 * 1024;
/// Body of DeleteObjects, bytes: 1000 keys of 1024 bytes and their tags; AWS stops at 2 MiB too.
pub const DELETE_BODY_BYTES_MAX: usize = 2 << 20;
/// Body of CompleteMultipartUpload, bytes: 10,000 parts, each of an ETag, a SHA-512 and tags (~240), make 2.4 MB.
pub const COMPLETE_BODY_BYTES_MAX: usize = 4 << 20;
/// A bucket policy without the white space between its tokens, bytes: S3's rule.
pub const BUCKET_POLICY_BYTES_MAX: usize = 20 * 1024;
/// Body of PutBucketPolicy, bytes, white space and all: the longest policy, each short value of it on an indented line.
pub const BUCKET_POLICY_BODY_BYTES_MAX: usize = 128 * 1024;
/// Objects and lists inside one another in a bucket policy. Its grammar needs six.
pub const BUCKET_POLICY_DEPTH_MAX: u8 = 8;
/// Bytes of all the pieces of a bucket policy that hold `?` and stand behind `*`: only those are searched for byte by
/// byte, and 2048 of them in a Referer of 16 KiB are some 15 ms at worst. Real policies have a dozen.
pub const BUCKET_POLICY_SEARCH_BYTES_MAX: usize = 2048;
/// What a POST form may hold besides its file's bytes: preamble, boundaries, part heads and fields before the file, and as
/// much again after it. S3's documentation says 20 KB, its refusals 20,480 bytes.
pub const FORM_BYTES_MAX: usize = 20 * 1024;
/// Fields of one form. Signed uploads of SDKs have 6 to 12; user metadata adds what 2 KiB can hold.
pub const FORM_FIELDS_MAX: usize = 100;
/// The head of one part: a file name of 1024 bytes is 3072 when every byte is escaped.
pub const PART_HEAD_BYTES_MAX: usize = 4 * 1024;
/// A multipart boundary (RFC 2046, 5.1.1).
pub const BOUNDARY_BYTES_MAX: usize = 70;
/// Conditions of one POST policy: two for every field, and some more.
pub const POLICY_CONDITIONS_MAX: usize = 256;
/// Attributes of one XML element. S3 clients send a namespace or two.
pub const XML_ATTRIBUTES_MAX: usize = 8;
/// Elements inside elements. The bodies of S3 need four.
pub const XML_DEPTH_MAX: usize = 8;

const _: () = assert!(COMPLETE_BODY_BYTES_MAX > PARTS_MAX as usize * 240);
const _: () = assert!(PART_HEAD_BYTES_MAX < FORM_BYTES_MAX);
const _: () = assert!(POLICY_CONDITIONS_MAX > 2 * FORM_FIELDS_MAX);
const _: () = assert!(DELETE_BODY_BYTES_MAX > DELETE_KEYS_MAX * OBJECT_KEY_BYTES_MAX);

// ---- Documents of buckets and objects ------------------------------------------------------------------------------

/// Body of PutBucketCors, bytes: S3's rule (64 KiB).
pub const CORS_BODY_BYTES_MAX: usize = 64 * 1024;
/// Rules of one CORSConfiguration: S3's rule.
pub const CORS_RULES_MAX: usize = 100;
/// The ID of a CORS rule, characters: S3's rule.
pub const CORS_RULE_ID_CHARS_MAX: usize = 255;
/// Names in one Access-Control-Request-Headers: no request could carry more.
pub const CORS_REQUEST_HEADERS_MAX: usize = HEADERS_MAX;

/// Tags of one object: S3's rule.
pub const OBJECT_TAGS_MAX: usize = 10;
/// Tags of one bucket: S3's rule.
pub const BUCKET_TAGS_MAX: usize = 50;
/// A tag's key, UTF-16 code units: S3's rule, which counts as Java does.
pub const TAG_KEY_UNITS_MAX: usize = 128;
/// A tag's value, UTF-16 code units: S3's rule.
pub const TAG_VALUE_UNITS_MAX: usize = 256;
/// Body of PutBucketTagging and PutObjectTagging, bytes: 50 of the longest tags, every character a numeric reference of
/// six bytes (`&#228;`), with 64 bytes of elements around each, are 118,400.
pub const TAGGING_BODY_BYTES_MAX: usize = 128 * 1024;

/// Grants of one ACL, in a body or in headers: S3's rule.
pub const ACL_GRANTS_MAX: usize = 100;
/// Body of PutBucketAcl and PutObjectAcl, bytes: 100 grants of at most 400 bytes and white space.
pub const ACL_BODY_BYTES_MAX: usize = 64 * 1024;

/// Bodies of a few elements, bytes: versioning, ownership controls, public access block.
pub const SMALL_DOCUMENT_BODY_BYTES_MAX: usize = 16 * 1024;

const _: () =
    assert!(TAGGING_BODY_BYTES_MAX >= BUCKET_TAGS_MAX * (6 * (TAG_KEY_UNITS_MAX + TAG_VALUE_UNITS_MAX) + 64));
const _: () = assert!(ACL_BODY_BYTES_MAX >= ACL_GRANTS_MAX * 400 + 1024);
const _: () = assert!(BUCKET_POLICY_BYTES_MAX < BUCKET_POLICY_BODY_BYTES_MAX);
