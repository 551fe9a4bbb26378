"""What an item's file is, told by its first bytes; what is none of these is not shown to anybody."""

_SIGNATURES = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (0, b"<svg", "image/svg+xml"),
    (0, b"<?xml", "image/svg+xml"),
    (8, b"WAVE", "audio/wav"),
    (0, b"fLaC", "audio/flac"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"OggS", "audio/ogg"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
)
# A drawing, opened by itself, is a document: it may neither run nor fetch anything.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, max-age=3600",
}


def media_type(content: bytes) -> str | None:
    """The type of a picture, sound or film that browsers can show; None for anything else.

    >>> media_type(b"RIFF....WAVEfmt "), media_type(b"<html>")
    ('audio/wav', None)
    """
    for at, signature, kind in _SIGNATURES:
        if content[at : at + len(signature)] == signature:
            return kind
    return None
